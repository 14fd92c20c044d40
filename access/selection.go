package access

import (
	"bytes"

	"github.com/cloud-of-se/tses/apdu"
)

// Note learns from a command and its answer what is selected now. Where that
// cannot be told for sure, it is taken for what is less allowed.
func (g *Guard) Note(c apdu.Command, r apdu.Response) {
	if g.planes&Administrative != 0 {
		return
	}
	class := apdu.Class(c.CLA)
	n := class.Channel()
	awaited, plain := g.due, isPlain(class) && !g.inChain()
	g.due = due{}
	g.chained[n] = class.Chained()
	switch {
	case isSelect(c) && plain:
		g.noteSelect(n, c, r)
	case isSelect(c):
		g.noteHidden(n, c, r)
	case maySelectRoot(c, plain):
		g.doubtAll()
	case c.INS == apdu.INSManageChannel && plain:
		g.noteChannel(n, c, r)
	case c.INS == apdu.INSManageChannel:
		g.doubtChannels()
	case c.INS == apdu.INSGetResponse && plain && awaited.is && awaited.channel == n:
		g.noteFCI(awaited, r)
	}
}

// NoteLost records that a command was sent whose answer is not known. The SE
// may have been reset, so nothing is known to be an application any more.
func (g *Guard) NoteLost(c apdu.Command) {
	g.due = due{}
	if class := apdu.Class(c.CLA); class.Chained() { // or else the chain of before may still be open
		g.chained[class.Channel()] = true
	}
	g.doubtChannels()
}

// inChain tells whether a chain of commands may be open, whose next command a
// card can take for its last one, whatever it is. On which channel is not asked,
// because the card may not do so either.
func (g *Guard) inChain() bool { return g.chained != [apdu.Channels]bool{} }

// doubt forgets that a channel has an application. That it has a domain stays,
// which is less allowed.
func (g *Guard) doubt(n int) {
	if g.channels[n] == application {
		g.channels[n] = unknown
	}
}

// doubtAll doubts what is selected, on every channel: a SELECT on one may have
// replaced it.
func (g *Guard) doubtAll() {
	for n := range g.channels {
		g.doubt(n)
	}
}

// doubtChannels doubts which channels are open, too.
func (g *Guard) doubtChannels() {
	g.doubtAll()
	clear(g.opened[:])
}

func hasMore(sw apdu.SW) bool { return sw.SW1() == 0x61 || sw.SW1() == 0x9F }

// noteSelect learns from a SELECT in the plain class. Some cards have selected
// before they look at Le (6CXX), others have lost the old selection when they find
// no new one.
func (g *Guard) noteSelect(n int, c apdu.Command, r apdu.Response) {
	switch {
	case !r.SW.Done():
		g.doubtAll()
	case len(r.Data) == 0 && hasMore(r.SW):
		g.set(n, unknown)
		g.due = due{is: true, channel: n, p2: c.P2}
	default:
		g.set(n, judge(c.P2, c.Ne, r))
	}
}

// noteHidden learns from what may be no SELECT of ISO/IEC 7816-4, or not have
// selected what it says.
func (g *Guard) noteHidden(n int, c apdu.Command, r apdu.Response) {
	g.doubtAll()
	if r.SW.Done() && judge(c.P2, c.Ne, r) == domain {
		g.channels[n] = domain
	}
}

// noteFCI judges the answer to GET RESPONSE. 6CXX asks for it once more.
func (g *Guard) noteFCI(awaited due, r apdu.Response) {
	switch {
	case r.SW.SW1() == 0x6C:
		g.due = awaited
	case r.SW.Done():
		g.set(awaited.channel, judge(awaited.p2, 0, r))
	}
}

// set records what a SELECT has selected. What is no application for sure may be
// a domain, on a card that does not look at the channel in CLA on all of them. On
// a channel that was not opened by MANAGE CHANNEL nothing counts as an
// application.
func (g *Guard) set(n int, k kind) {
	if k != application {
		g.doubtAll()
	} else if n != 0 && !g.opened[n] {
		k = unknown
	}
	g.channels[n] = k
}

// noteChannel follows MANAGE CHANNEL (ISO/IEC 7816-4, 11.1.2) in the plain class.
// Opening a channel changes which ones there are, and a card may name another
// than it means: what is selected on all but the basic one is to be seen again.
// Closing can mean the basic one, too, on a card that does not look at channels,
// and then what the card selects by itself is there again.
func (g *Guard) noteChannel(from int, c apdu.Command, r apdu.Response) {
	basic := g.channels[0]
	g.doubtAll()
	switch n := int(c.P2); {
	case c.P1 == 0x80 && n < len(g.channels):
		g.noteClosed(from, n)
	case c.P1 != 0x00:
		clear(g.opened[:])
	default:
		g.channels[0] = basic
		if r.SW.Done() {
			g.noteOpened(from, n, r)
		}
	}
}

// noteClosed learns that a channel may be closed, if the answer is an error,
// too. P2 of 0 means the channel in CLA.
func (g *Guard) noteClosed(from, n int) {
	if n == 0 {
		n = from
	}
	g.channels[n], g.opened[n] = unknown, false
}

// noteOpened learns that a channel was opened, P2 of 0 letting the card choose
// which. Whether it has the card's default application or that of the channel it
// was opened from is the card's affair. If its number is not what was asked for,
// any may be open or begun anew.
func (g *Guard) noteOpened(from, asked int, r apdu.Response) {
	n, ok := openedNumber(asked, r)
	switch {
	case !ok:
		g.doubtChannels()
	case g.channels[n] == domain: // it is open, whatever the answer says
	default:
		g.channels[n], g.opened[n] = unknown, true
		if from != 0 && g.channels[from] == domain {
			g.channels[n] = domain
		}
	}
}

// openedNumber is the channel that an answer to MANAGE CHANNEL says is open.
func openedNumber(asked int, r apdu.Response) (n int, ok bool) {
	n = asked
	if len(r.Data) == 1 && (asked == 0 || int(r.Data[0]) == asked) {
		n = int(r.Data[0])
	} else if len(r.Data) > 0 {
		return 0, false
	}
	return n, r.SW == apdu.SWSuccess && n > 0 && n < apdu.Channels
}

// askedForFCI tells whether P2 of SELECT wants the FCI template, which domains
// always give, and not the FCP, the FMD or nothing (ISO/IEC 7816-4, table 63).
func askedForFCI(p2 byte) bool { return p2&0x0C == 0 }

// judge tells what a SELECT with this P2 has selected, from the answer to it
// with Ne, or to the GET RESPONSE behind it with an Ne of 0. An answer that was
// cut short, or not asked for, could be a domain's.
func judge(p2 byte, ne int, r apdu.Response) kind {
	if len(r.Data) == 0 {
		if ne == 0 || !askedForFCI(p2) || r.SW != apdu.SWSuccess {
			return unknown
		}
		return application
	}
	template, _, err := apdu.ReadTLV(r.Data)
	if err != nil || hasMore(r.SW) {
		return unknown
	}
	if template.Tag == 0x6F || template.Tag == 0x62 {
		if isDomainFCI(template.Value) {
			return domain
		}
		if !wellFormed(template.Value) {
			return unknown
		}
	}
	if !askedForFCI(p2) {
		return unknown
	}
	return application
}

// wellFormed tells whether a template, and the proprietary template A5 in it,
// can be searched to their ends.
func wellFormed(template []byte) bool {
	objects, err := apdu.ParseTLVs(template)
	for _, o := range objects {
		if o.Tag == 0xA5 && err == nil {
			_, err = apdu.ParseTLVs(o.Value)
		}
	}
	return err == nil
}

// gpOID begins the object identifiers of GlobalPlatform, 1.2.840.114283.
var gpOID = []byte{0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B}

// isDomainFCI tells whether the value of an FCI template is a security
// domain's: it has a domain's AID, or in its proprietary template A5 the
// security domain management data, the production life cycle data or the
// command length that domains give (GlobalPlatform Card Specification 2.3.1,
// 11.9.3.1).
func isDomainFCI(fci []byte) bool {
	if aid, ok := apdu.FindTLV(fci, 0x84); ok && len(aid) >= 5 && isDomain(apdu.AID(aid)) {
		return true
	}
	if oid, ok := apdu.FindTLV(fci, 0xA5, 0x73, 0x06); ok && bytes.HasPrefix(oid, gpOID) {
		return true
	}
	_, life := apdu.FindTLV(fci, 0xA5, 0x9F6E)
	_, length := apdu.FindTLV(fci, 0xA5, 0x9F65)
	return life || length
}
