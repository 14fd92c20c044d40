package access_test

import (
	"bytes"
	"encoding/hex"

	"github.com/cloud-of-se/tses/apdu"
)

// simApp is an application or a security domain.
type simApp struct {
	aid, fci []byte
	domain   bool
}

// simApps are on every card. The first is selected at reset.
var simApps = []simApp{
	{unhex("A000000151000000"), unhex(fciJCOP), true},
	{unhex("A00000015153504101"), unhex(fciSSD), true},
	{unhex("F000000001"), unhex(renamed(fciShort)), true},
	{unhex("F00000000101"), unhex(renamed(fciNexus)), true},
	{unhex("F00000000102"), unhex(fciPPSE), false},
	{unhex("F000000002"), nil, false},
}

// What is on a channel besides the index of an application.
const (
	nothing = -1 // the channel is open, and no application there
	shut    = -2 // the channel is closed
)

// simChannels is one more than the highest channel of a card.
const simChannels = 8

// simCard is a GlobalPlatform card as far as a Guard has to understand it:
// channels, what is selected on them, and who gets a command. It is a value: a
// copy is another card in the same state.
type simCard struct {
	kind     cardKind
	selected [simChannels]int8 // by channel
	pending  rest              // what GET RESPONSE gets
	chain    simChain
}

// rest is data of which so many bytes were given. What is 0 for none, or the
// number of a part of parts.
type rest struct{ what, skip uint8 }

// parts are all data that a card gives: what GET DATA and an odd application
// have, then the FCIs, then the numbers of channels.
var parts = func() [][]byte {
	all := [][]byte{nil, {0x66, 0x00}, {0x6F}}
	for _, app := range simApps {
		all = append(all, app.fci)
	}
	for n := range simChannels {
		all = append(all, []byte{byte(n)})
	}
	return all
}()

const (
	noPart      = 0
	dataPart    = 1
	oddPart     = 2
	fciParts    = 3
	numberParts = 9
)

// simChain is the commands of a chain that were not the last.
type simChain struct {
	open     bool
	cla, ins byte
	n        uint8
	data     [8]byte // as many as count
}

func newSimCard(kind cardKind) simCard {
	c := simCard{kind: kind}
	c.reset()
	return c
}

func (c *simCard) reset() {
	c.pending, c.chain = rest{}, simChain{}
	for n := range c.selected {
		c.selected[n] = shut
	}
	c.selected[0] = 0
}

var (
	doneSW       = apdu.Response{SW: apdu.SWSuccess}
	noChannelSW  = apdu.Response{SW: apdu.SWLogicalChannel}
	wrongP1P2SW  = apdu.Response{SW: apdu.SWIncorrectP1P2}
	noCommandSW  = apdu.Response{SW: apdu.SWInstruction}
	notFoundSW   = apdu.Response{SW: apdu.SWFileNotFound}
	noChainSW    = apdu.Response{SW: 0x6884}
	noSecuritySW = apdu.Response{SW: 0x6882}
)

// transmit answers a command. Misused tells that a security domain was to be
// managed, or to open a secure channel.
func (c *simCard) transmit(cmd apdu.Command) (r apdu.Response, misused bool) {
	class := apdu.Class(cmd.CLA)
	if class.Chained() && c.kind[chains] > 0 {
		return c.link(cmd), false
	}
	cmd = c.endChain(cmd)
	class = apdu.Class(cmd.CLA)
	n := c.hear(class)
	pending := c.pending
	c.pending = rest{}
	if c.selected[n] == shut {
		switch c.kind[closed] {
		case 0:
			return noChannelSW, false
		case 1:
			c.selected[n] = 0
		case 2:
			n = 0
		}
	}
	if !class.Proprietary() || c.kind[classes] == 1 {
		if r, ok := c.system(n, cmd, pending); ok {
			return r, false
		}
	}
	return c.dispatch(n, cmd)
}

// link takes a command of a chain that is not the last.
func (c *simCard) link(cmd apdu.Command) apdu.Response {
	if c.kind[chains] == 1 {
		return noChainSW
	}
	if c.chain.open && c.kind[chains] == 2 && c.chain.ins != cmd.INS {
		c.chain = simChain{}
	}
	if !c.chain.open {
		c.chain = simChain{open: true, cla: cmd.CLA &^ 0x10, ins: cmd.INS}
	}
	c.chain.n += uint8(copy(c.chain.data[c.chain.n:], cmd.Data))
	c.pending = rest{}
	return doneSW
}

// endChain is the command that a chain makes with its last one.
func (c *simCard) endChain(cmd apdu.Command) apdu.Command {
	chain := c.chain
	c.chain = simChain{}
	if !chain.open || c.kind[chains] == 2 && chain.ins != cmd.INS {
		return cmd
	}
	if c.kind[chains] != 4 {
		cmd.CLA, cmd.INS = chain.cla, chain.ins
	}
	cmd.Data = append(bytes.Clone(chain.data[:chain.n]), cmd.Data...)
	return cmd
}

// hear is the channel that a class means for this card.
func (c *simCard) hear(class apdu.Class) int {
	n := class.Channel()
	switch {
	case c.kind[hears] == 1, c.kind[hears] == 3 && n > 3:
		return 0
	case c.kind[hears] == 2:
		return int(class & 0x03)
	}
	return n % simChannels
}

// system is what a card does itself; not ok says that the application gets the
// command.
func (c *simCard) system(n int, cmd apdu.Command, pending rest) (r apdu.Response, ok bool) {
	if class := apdu.Class(cmd.CLA &^ 0x90); class&0xFC != 0 && class&0xF0 != 0x40 { // secure, or reserved
		switch c.kind[secures] {
		case 0:
			return noSecuritySW, true
		case 2:
			cmd.Data = unwrap(cmd.Data)
			defer func() { r.Data = wrap(r.Data) }()
		case 3:
			return r, false
		}
	}
	switch {
	case cmd.INS == apdu.INSGetResponse && pending != rest{}:
		return c.give(cmd, pending), true
	case cmd.INS == apdu.INSManageChannel && c.kind[manages] == 0:
		return c.manageChannel(n, cmd), true
	case cmd.INS == apdu.INSManageChannel && c.kind[manages] == 1:
		return noChannelSW, true
	case cmd.INS == apdu.INSSelect && (cmd.P1 == 0x04 || c.kind[selects] == 1 && cmd.P1&0x04 != 0):
		return c.selectApp(n, cmd)
	case cmd.INS == apdu.INSSelect && cmd.P1 == 0 && c.kind[selects] == 2 && (len(cmd.Data) == 0 || string(cmd.Data) == "\x3F\x00"):
		c.selected[n] = 0
		return c.give(cmd, rest{what: fciParts}), true
	}
	return r, false
}

// wrap is secure messaging that nobody has keys for: the other way round.
func wrap(data []byte) []byte {
	if len(data) == 0 {
		return data
	}
	return append([]byte{0x87, byte(len(data))}, unwrap(data)...)
}

func unwrap(data []byte) []byte {
	clear := bytes.Clone(data)
	for i := range clear {
		clear[i] ^= 0xFF
	}
	return clear
}

// dispatch gives a command to what is selected.
func (c *simCard) dispatch(n int, cmd apdu.Command) (r apdu.Response, misused bool) {
	class := apdu.Class(cmd.CLA)
	switch app := c.selected[n]; {
	case app == nothing:
		return noCommandSW, false
	case !simApps[app].domain:
		r, _ := apdu.ParseResponse(appAnswers[c.kind[says]])
		if r.SW.SW1() == 0x61 {
			c.pending = rest{what: oddPart}
		}
		return r, false
	case forDomains(cmd.INS) && (class.Proprietary() || c.kind[classes] == 2 && cmd.INS != 0x82):
		return doneSW, true
	case cmd.INS == apdu.INSGetData:
		return c.give(cmd, rest{what: dataPart}), false
	}
	return noCommandSW, false
}

// forDomains tells whether no domain may get INS from a user.
func forDomains(ins byte) bool {
	switch ins {
	case 0xE2, 0xE4, 0xE6, 0xE8, 0xD8, 0xF0, 0x50, 0x82, 0xEA:
		return true
	}
	return false
}

var appAnswers = func() (all [][]byte) {
	for _, a := range answers {
		all = append(all, unhex(a))
	}
	return all
}()

func (c *simCard) selectApp(n int, cmd apdu.Command) (apdu.Response, bool) {
	next := cmd.P2&0x03 == 0x02
	for i, app := range simApps {
		if !bytes.HasPrefix(app.aid, cmd.Data) {
			continue
		}
		if next {
			next = false
			continue
		}
		c.selected[n] = int8(i)
		if cmd.P2&0x0C == 0x0C {
			return doneSW, true
		}
		return c.give(cmd, rest{what: fciParts + uint8(i)}), true
	}
	switch c.kind[fails] {
	case 1:
		c.selected[n] = 0
	case 2:
		c.selected[n] = nothing
	}
	app := c.selected[n]
	return notFoundSW, app == nothing || simApps[app].domain
}

// give answers with data as the command's Le and the card's manners allow.
func (c *simCard) give(cmd apdu.Command, from rest) apdu.Response {
	data := parts[from.what][from.skip:]
	more := func(given int) apdu.SW {
		c.pending = rest{from.what, from.skip + uint8(given)}
		return 0x6100 | apdu.SW(byte(len(data)-given))
	}
	switch {
	case len(data) == 0, cmd.Ne == 0 && c.kind[gives] != 3:
		return doneSW
	case c.kind[gives] == 3 && cmd.INS != apdu.INSGetResponse:
		return apdu.Response{SW: more(0)}
	case cmd.Ne >= len(data):
		return apdu.Response{Data: data, SW: apdu.SWSuccess}
	case c.kind[gives] == 1 && cmd.Ne > 0:
		return apdu.Response{Data: data[:cmd.Ne], SW: more(cmd.Ne)}
	case c.kind[gives] == 2:
		c.pending = from
		return apdu.Response{SW: 0x6C00 | apdu.SW(byte(len(data)))}
	}
	return apdu.Response{Data: data[:cmd.Ne], SW: apdu.SWSuccess}
}

func (c *simCard) manageChannel(from int, cmd apdu.Command) apdu.Response {
	n := int(cmd.P2)
	switch {
	case n >= simChannels:
		return wrongP1P2SW
	case cmd.P1 == 0x80:
		return c.closeChannel(from, n)
	case cmd.P1 != 0x00:
		return wrongP1P2SW
	}
	asked := n
	if n == 0 || c.kind[numbers] >= 4 {
		if n = c.free(asked); n == 0 {
			return apdu.Response{SW: apdu.SWFunctionNotSupported}
		}
	}
	if c.selected[n] != shut && c.kind[reopens] == 0 {
		return wrongP1P2SW
	}
	c.selected[n] = 0
	if c.kind[begins] == 2 || c.kind[begins] == 0 && from != 0 {
		c.selected[n] = c.selected[from]
	}
	return c.give(cmd, c.openedAs(asked, n))
}

// free is a channel that can be opened, and is not the one asked for; 0 is none.
func (c *simCard) free(asked int) int {
	for n := 1; n < simChannels; n++ {
		if c.selected[n] == shut && n != asked {
			return n
		}
	}
	return 0
}

// openedAs is what the answer to opening a channel says.
func (c *simCard) openedAs(asked, n int) rest {
	switch c.kind[numbers] {
	case 1, 5:
		return rest{}
	case 2:
		return rest{what: numberParts}
	case 3:
		return rest{what: numberParts + uint8(n%(simChannels-1)) + 1}
	}
	if asked == n {
		return rest{} // nobody asked which
	}
	return rest{what: numberParts + uint8(n)}
}

func (c *simCard) closeChannel(from, n int) apdu.Response {
	if n == 0 || c.kind[closes] >= 2 {
		n = from
	}
	switch basic := c.kind[closes] == 1 || c.kind[closes] == 3; {
	case n == 0 && basic:
		c.selected[0] = 0
	case n == 0 || c.selected[n] == shut:
		return wrongP1P2SW
	default:
		c.selected[n] = shut
	}
	return doneSW
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
