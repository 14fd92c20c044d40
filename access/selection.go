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
	n := apdu.Class(c.CLA).Channel()
	awaited := g.due
	g.due = due{}
	switch {
	case isSelect(c):
		g.noteSelect(n, c, r)
	case c.INS == apdu.INSGetResponse && awaited.is && awaited.channel == n:
		g.noteFCI(awaited, r)
	case c.INS == apdu.INSManageChannel && !apdu.Class(c.CLA).Proprietary() && r.SW.Done():
		g.noteChannel(c, r)
	}
}

// NoteLost records that a command was sent whose answer is not known. The SE
// may have been reset, so nothing is known to be an application any more.
func (g *Guard) NoteLost(apdu.Command) {
	g.due = due{}
	for n := range g.channels {
		g.doubt(n)
	}
}

// doubt forgets that a channel has an application. That it has a domain stays,
// which is less allowed.
func (g *Guard) doubt(n int) {
	if g.channels[n] == application {
		g.channels[n] = unknown
	}
}

func hasMore(sw apdu.SW) bool { return sw.SW1() == 0x61 || sw.SW1() == 0x9F }

func (g *Guard) noteSelect(n int, c apdu.Command, r apdu.Response) {
	class := apdu.Class(c.CLA)
	switch {
	case r.SW.SW1() == 0x6C: // some have selected before they look at Le
		g.mayHaveSelected(n)
	case !r.SW.Done():
	case class.Proprietary() || class.SecureMessaging():
		// No SELECT of ISO/IEC 7816-4, or one that hides what it selects.
		g.mayHaveSelected(n)
		if judge(c.P2, c.Ne, r) == domain {
			g.channels[n] = domain
		}
	case len(r.Data) == 0 && hasMore(r.SW):
		g.set(n, unknown)
		g.due = due{is: true, channel: n, p2: c.P2}
	default:
		g.set(n, judge(c.P2, c.Ne, r))
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

// set records what a SELECT has selected. On a channel that was not opened by
// MANAGE CHANNEL nothing counts as an application.
func (g *Guard) set(n int, k kind) {
	if k != application {
		g.mayHaveSelected(n)
	} else if n != 0 && !g.opened[n] {
		k = unknown
	}
	g.channels[n] = k
}

// mayHaveSelected doubts what a SELECT on a channel can have replaced. A card
// that does not look at the channel in CLA has replaced what is selected on
// the basic channel; no such card has opened another one.
func (g *Guard) mayHaveSelected(n int) {
	g.doubt(n)
	if !g.opened[n] {
		g.doubt(0)
	}
}

// noteChannel follows MANAGE CHANNEL (ISO/IEC 7816-4, 11.1.2): a channel that
// is opened from the basic one has the card's default application, another
// that of the channel it was opened from. P2 of 0 closes the channel in CLA,
// or lets the card choose the one to open and name it in its answer.
func (g *Guard) noteChannel(c apdu.Command, r apdu.Response) {
	from, n := apdu.Class(c.CLA).Channel(), int(c.P2)
	switch {
	case n != 0:
	case c.P1 == 0x80:
		n = from
	case len(r.Data) > 0:
		n = int(r.Data[0])
	}
	// An opened channel whose number is not known has nothing selected here.
	if n == 0 || n >= len(g.channels) {
		return
	}
	switch c.P1 {
	case 0x80:
		g.channels[n], g.opened[n] = unknown, false
	case 0x00:
		if g.channels[n] == domain {
			return // it is open, whatever the answer says
		}
		g.channels[n], g.opened[n] = unknown, true
		if from != 0 {
			g.channels[n] = g.channels[from]
		}
	}
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
