package access_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/apdu"
)

// simCard is a GlobalPlatform card as far as a Guard has to understand it:
// channels, what is selected on them, and who gets a command.
type simCard struct {
	apps     []simApp
	channels map[int]*simApp // the open ones
	deaf     bool            // has no channels and does not look at them in CLA
	t0       bool            // gives data by GET RESPONSE alone
	short    uint8           // what happens when Le is too small: 0 cut, 1 61XX, 2 6CXX
	pending  []byte

	misused []byte // a command that a domain got and should not have
}

type simApp struct {
	aid    string
	fci    string
	domain bool
	says   string // what an application answers everything with
}

func newSimCard(t *rapid.T) *simCard {
	says := rapid.SampledFrom([]string{"9000", "6985", "6D00", "029000", "6101", "6C01", fciPPSE + "9000", "6F009000"})
	c := &simCard{
		apps: []simApp{
			{aid: "A000000151000000", fci: fciJCOP, domain: true},
			{aid: "A00000015153504101", fci: fciSSD, domain: true},
			{aid: "F000000001", fci: renamed(fciShort), domain: true},
			{aid: "F00000000101", fci: renamed(fciNexus), domain: true},
			{aid: "F00000000102", fci: fciPPSE, says: says.Draw(t, "app says")},
			{aid: "F000000002", says: says.Draw(t, "other app says")},
		},
		deaf:  rapid.Bool().Draw(t, "deaf"),
		t0:    rapid.Bool().Draw(t, "T=0"),
		short: rapid.Uint8Range(0, 2).Draw(t, "short"),
	}
	c.reset()
	return c
}

func (c *simCard) reset() {
	c.channels = map[int]*simApp{0: &c.apps[0]}
	c.pending = nil
}

func (c *simCard) transmit(cmd apdu.Command) apdu.Response {
	class := apdu.Class(cmd.CLA)
	n := class.Channel()
	if c.deaf {
		n = 0
	}
	interindustry := !class.Proprietary() && !class.SecureMessaging()
	pending := c.pending
	c.pending = nil
	switch {
	case cmd.INS == apdu.INSGetResponse && interindustry && pending != nil:
		return c.give(cmd, pending)
	case cmd.INS == apdu.INSManageChannel && interindustry && c.deaf:
		return apdu.Response{SW: apdu.SWLogicalChannel}
	case cmd.INS == apdu.INSManageChannel && interindustry:
		return c.manageChannel(n, cmd)
	case cmd.INS == apdu.INSSelect && cmd.P1 == 0x04 && interindustry:
		if r, ok := c.selectApp(n, cmd); ok {
			return r
		}
	}
	app, open := c.channels[n]
	switch {
	case !open:
		return apdu.Response{SW: apdu.SWLogicalChannel}
	case !app.domain:
		answer, _ := hex.DecodeString(app.says)
		r, _ := apdu.ParseResponse(answer)
		if r.SW.SW1() == 0x61 {
			c.pending = []byte{0x6F}
		}
		return r
	case class.Proprietary() && slices.Contains([]byte{0xE2, 0xE4, 0xE6, 0xE8, 0xD8, 0xF0, 0x50, 0x82, 0xEA}, cmd.INS):
		c.misused = []byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2}
		return apdu.Response{SW: apdu.SWSuccess}
	case cmd.INS == apdu.INSGetData:
		return c.give(cmd, []byte{0x66, 0x00})
	}
	return apdu.Response{SW: apdu.SWInstruction}
}

func (c *simCard) selectApp(n int, cmd apdu.Command) (apdu.Response, bool) {
	next := cmd.P2&0x03 == 0x02
	for i := range c.apps {
		app := &c.apps[i]
		aid, _ := hex.DecodeString(app.aid)
		if !bytes.HasPrefix(aid, cmd.Data) {
			continue
		}
		if next {
			next = false
			continue
		}
		c.channels[n] = app
		fci, _ := hex.DecodeString(app.fci)
		if cmd.P2&0x0C == 0x0C {
			fci = nil
		}
		return c.give(cmd, fci), true
	}
	return apdu.Response{SW: apdu.SWFileNotFound}, c.channels[n] == nil || c.channels[n].domain
}

// give answers with data as the command's Le and the card's ways allow.
func (c *simCard) give(cmd apdu.Command, data []byte) apdu.Response {
	more := func(rest []byte) apdu.SW {
		c.pending = rest
		return 0x6100 | apdu.SW(byte(len(rest)))
	}
	switch {
	case len(data) == 0:
		return apdu.Response{SW: apdu.SWSuccess}
	case cmd.Ne == 0 && !c.t0:
		return apdu.Response{SW: apdu.SWSuccess}
	case c.t0 && cmd.INS != apdu.INSGetResponse:
		return apdu.Response{SW: more(data)}
	case cmd.Ne >= len(data):
		return apdu.Response{Data: data, SW: apdu.SWSuccess}
	case c.short == 1 && cmd.Ne > 0:
		return apdu.Response{Data: data[:cmd.Ne], SW: more(data[cmd.Ne:])}
	case c.short == 2:
		c.pending = data
		return apdu.Response{SW: 0x6C00 | apdu.SW(byte(len(data)))}
	}
	return apdu.Response{Data: data[:cmd.Ne], SW: apdu.SWSuccess}
}

func (c *simCard) manageChannel(from int, cmd apdu.Command) apdu.Response {
	n := int(cmd.P2)
	switch {
	case c.channels[from] == nil:
		return apdu.Response{SW: apdu.SWLogicalChannel}
	case cmd.P1 == 0x80:
		if n == 0 {
			n = from
		}
		if n == 0 || c.channels[n] == nil {
			return apdu.Response{SW: apdu.SWIncorrectP1P2}
		}
		delete(c.channels, n)
		return apdu.Response{SW: apdu.SWSuccess}
	case cmd.P1 != 0x00 || n >= apdu.Channels || n != 0 && c.channels[n] != nil:
		return apdu.Response{SW: apdu.SWIncorrectP1P2}
	}
	var data []byte
	if n == 0 {
		for n = 1; c.channels[n] != nil; n++ {
		}
		if n >= apdu.Channels {
			return apdu.Response{SW: apdu.SWFunctionNotSupported}
		}
		data = []byte{byte(n)}
	}
	c.channels[n] = &c.apps[0]
	if from != 0 {
		c.channels[n] = c.channels[from]
	}
	return c.give(cmd, data)
}

func drawCommand(t *rapid.T) apdu.Command {
	channel := rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2, 4}).Draw(t, "channel")
	class := func(allowed ...byte) byte {
		return apdu.OnChannel(rapid.SampledFrom(allowed).Draw(t, "class"), channel)
	}
	ne := rapid.SampledFrom([]int{0, 256, 256, 1, 8, 18}).Draw(t, "Ne")
	switch rapid.IntRange(0, 5).Draw(t, "command") {
	case 0, 1:
		aid := rapid.SampledFrom([]string{"F000000001", "F00000000101", "F00000000102", "F000000002", "F0000000", "F0", "A000000151000000", "A0", "", "F0FF"}).Draw(t, "AID")
		data, _ := hex.DecodeString(aid)
		p2 := rapid.SampledFrom([]byte{0, 0, 0, 2, 4, 0x0C}).Draw(t, "P2")
		return apdu.Command{CLA: class(0x00, 0x00, 0x00, 0x80, 0x0C, 0x10), INS: apdu.INSSelect, P1: 4, P2: p2, Data: data, Ne: ne}
	case 2:
		return apdu.Command{CLA: class(0x00, 0x00, 0x80), INS: apdu.INSGetResponse, Ne: ne}
	case 3:
		return apdu.Command{CLA: class(0x00, 0x00, 0x80), INS: apdu.INSManageChannel, P1: rapid.SampledFrom([]byte{0, 0x80}).Draw(t, "P1"),
			P2: rapid.SampledFrom([]byte{0, 1, 2, 4}).Draw(t, "number"), Ne: rapid.SampledFrom([]int{0, 1, 256}).Draw(t, "Ne")}
	}
	ins := rapid.SampledFrom([]byte{0xE2, 0xE2, 0xE2, 0xE2, 0xE4, 0xE6, 0xE8, 0xD8, 0xF0, 0x50, 0x82, 0xEA, 0xCA, 0xC2, 0x84}).Draw(t, "INS")
	return apdu.Command{CLA: class(0x80, 0x80, 0x84, 0x00), INS: ins, Data: []byte{1, 2}, Ne: ne}
}

// TestUsersNeverManage: whatever a user sends, in whatever order, and whatever
// applications answer, no domain gets a command to manage it or to open a
// secure channel with it.
func TestUsersNeverManage(t *testing.T) {
	used := 0
	for range rounds(t) {
		rapid.Check(t, func(t *rapid.T) { userAtCard(t, &used) })
	}
	if used == 0 {
		t.Error("no application ever got STORE DATA: the guard refuses everything")
	}
}

// rounds of as many checks as rapid makes, 100 if it is not told otherwise.
func rounds(t *testing.T) int {
	if testing.Short() {
		return 5
	}
	return 20
}

func userAtCard(t *rapid.T, used *int) {
	card, guard := newSimCard(t), access.NewGuard(access.User)
	for range rapid.IntRange(20, 80).Draw(t, "commands") {
		if rapid.IntRange(0, 30).Draw(t, "event") == 0 {
			card.reset()
			guard.Reset()
		}
		c := drawCommand(t)
		if guard.Check(c) != nil {
			continue
		}
		r := card.transmit(c)
		if card.misused != nil {
			t.Fatalf("a domain got %X", card.misused)
		}
		if rapid.IntRange(0, 20).Draw(t, "lost") == 0 {
			if rapid.Bool().Draw(t, "and reset") {
				card.reset()
			}
			guard.NoteLost(c)
			continue
		}
		guard.Note(c, r)
		if c.CLA&0x80 != 0 && c.INS == apdu.INSStoreData {
			*used++ // by an application
		}
	}
}

// FuzzGuard feeds commands and answers, each with its length in front. An
// answer of length 0 is lost.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		"0C" + "00A4040006F0000000000100" + "14" + fciShort + "9000" + "05" + "80CA006600" + "02" + "6A88",
		"0B" + "00A4040006F00000000001" + "02" + "6112" + "05" + "00C0000012" + "14" + fciShort + "9000",
		"05" + "0070000001" + "03" + "019000" + "04" + "01708000" + "00" + "04" + "80E60C00" + "02" + "9000",
	} {
		b, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		next := func() (part []byte) {
			if len(b) > 0 {
				n := min(int(b[0]), len(b)-1)
				part, b = b[1:1+n], b[1+n:]
			}
			return part
		}
		user, admin := access.NewGuard(access.User), access.NewGuard(access.User|access.Administrative)
		for len(b) > 0 {
			c, err := apdu.Parse(next())
			answer := next()
			if err != nil {
				continue
			}
			if err := admin.Check(c); err != nil {
				t.Fatal(err)
			}
			refused := user.Check(c)
			if apdu.Class(c.CLA).Proprietary() && (c.INS == apdu.INSInstall || c.INS == apdu.INSLoad || c.INS == apdu.INSDelete) && refused == nil {
				t.Fatalf("%s got through", c)
			}
			r, err := apdu.ParseResponse(answer)
			if err != nil {
				user.NoteLost(c)
				continue
			}
			user.Note(c, r)
		}
	})
}
