package access

import (
	"bytes"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
)

// Refusal is the error for an APDU that a credential may not send. Nothing of
// it reached the SE.
type Refusal struct {
	Header [4]byte // CLA INS P1 P2
	Reason string
}

// Error says the header, the reason and what would be needed.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%X: %s; this needs the administrative plane", r.Header, r.Reason)
}

// Guard watches one powered-on SE for one session. It follows which
// application is selected on each logical channel, and refuses what the
// session's planes do not cover. The administrative plane covers everything.
//
// The user plane selects and uses any application but security domains:
//   - SELECT by AID of a known security domain, by a part of its AID or with
//     no AID at all is refused.
//   - A domain that was selected under an AID of its own is recognised by its
//     FCI and answers then to no more than GET DATA.
//   - INSTALL, LOAD, DELETE, PUT KEY and SET STATUS in a proprietary class are
//     refused on every channel, whatever is selected there.
//   - STORE DATA and the opening of a secure channel are refused until an
//     application is selected: what a card selects by itself at reset is its
//     issuer security domain as a rule.
//   - What would hide another command from these rules is refused:
//     interindustry ENVELOPE, and SELECT in a chain of commands.
//
// A Guard is used by one goroutine at a time. It starts as after a reset.
type Guard struct {
	planes   Plane
	channels [apdu.Channels]channel
}

// channel is what is known of the application on one logical channel.
type channel struct {
	selected kind
	fciDue   bool // the FCI of the last SELECT comes by GET RESPONSE
}

type kind uint8

const (
	unknown     kind = iota // what the card selected by itself, or cannot be told
	application             // not a security domain
	domain                  // a security domain
)

// NewGuard returns a guard for a credential's planes.
func NewGuard(planes Plane) *Guard { return &Guard{planes: planes} }

// Reset forgets everything: the SE was powered on or reset.
func (g *Guard) Reset() { g.channels = [apdu.Channels]channel{} }

// Check tells by a [*Refusal] that the command must not be sent.
func (g *Guard) Check(c apdu.Command) error {
	if g.planes&Administrative != 0 {
		return nil
	}
	if reason := g.refuse(c); reason != "" {
		return &Refusal{Header: [4]byte{c.CLA, c.INS, c.P1, c.P2}, Reason: reason}
	}
	return nil
}

func (g *Guard) refuse(c apdu.Command) string {
	class := apdu.Class(c.CLA)
	selected := g.channels[class.Channel()].selected
	switch {
	case isSelect(c):
		return refuseSelect(c)
	case c.INS == apdu.INSEnvelope && !class.Proprietary():
		return "ENVELOPE can carry any command"
	case class.Proprietary() && isManagement(c.INS):
		return managementNames[c.INS] + " is GlobalPlatform management"
	case selected == domain && !isHarmless(c.INS):
		return "a security domain is selected on this channel"
	case selected == unknown && class.Proprietary() && isDomainUse(c.INS):
		return "no application is selected on this channel, a security domain may be"
	}
	return ""
}

// isSelect tells whether the command is SELECT by AID (ISO/IEC 7816-4, 11.2.2).
func isSelect(c apdu.Command) bool { return c.INS == apdu.INSSelect && c.P1 == 0x04 }

func refuseSelect(c apdu.Command) string {
	switch {
	case apdu.Class(c.CLA).Chained():
		return "SELECT in a chain of commands hides its AID"
	case len(c.Data) == 0:
		return "SELECT without an AID selects the issuer security domain"
	case isDomain(apdu.AID(c.Data)):
		return "the AID is, or may be completed to, that of a security domain"
	}
	return ""
}

// domainAIDs are how the AIDs of security domains begin: GlobalPlatform's own
// RID (A000000151000000 for the issuer's, A000000151535041 for supplementary
// ones), and what card makers used before it had one.
var domainAIDs = []apdu.AID{
	apdu.MustAID("A000000151"),
	apdu.MustAID("A000000003000000"),
	apdu.MustAID("A000000018434D"),
}

// isDomain tells whether an AID, full or partial, can select one of them.
func isDomain(aid apdu.AID) bool {
	for _, d := range domainAIDs {
		if aid.Matches(d) || d.Matches(aid) {
			return true
		}
	}
	return false
}

var managementNames = map[byte]string{
	apdu.INSDelete: "DELETE", apdu.INSInstall: "INSTALL", apdu.INSLoad: "LOAD",
	apdu.INSPutKey: "PUT KEY", apdu.INSSetStatus: "SET STATUS",
}

// isManagement tells whether INS, in a proprietary class, changes the card's
// contents, keys or life cycle (GlobalPlatform Card Specification 2.3.1, 11).
func isManagement(ins byte) bool {
	_, ok := managementNames[ins]
	return ok
}

// isDomainUse tells whether INS, in a proprietary class, is one that a
// security domain acts upon and that no SIM uses otherwise.
func isDomainUse(ins byte) bool {
	switch ins {
	case apdu.INSStoreData, apdu.INSInitializeUpdate, apdu.INSExternalAuthenticate:
		return true
	}
	return false
}

// isHarmless tells whether a security domain may get INS from everybody.
func isHarmless(ins byte) bool {
	switch ins {
	case apdu.INSGetData, apdu.INSGetResponse, apdu.INSManageChannel, apdu.INSGetChallenge:
		return true
	}
	return false
}

// Note learns from a command and its answer what is selected now.
func (g *Guard) Note(c apdu.Command, r apdu.Response) {
	if g.planes&Administrative != 0 {
		return
	}
	ch := &g.channels[apdu.Class(c.CLA).Channel()]
	switch {
	case isSelect(c):
		if r.SW.Done() {
			*ch = channel{selected: judgeFCI(c, r), fciDue: len(r.Data) == 0 && hasMore(r.SW)}
		}
	case c.INS == apdu.INSGetResponse && ch.fciDue:
		ch.selected, ch.fciDue = judgeFCI(c, r), false
	case c.INS == apdu.INSManageChannel && r.SW.Done():
		g.noteChannel(c, r)
	default:
		ch.fciDue = false
	}
}

// NoteLost records that a command was sent whose answer is not known.
func (g *Guard) NoteLost(c apdu.Command) {
	if c.INS == apdu.INSManageChannel {
		g.Reset()
		return
	}
	g.channels[apdu.Class(c.CLA).Channel()] = channel{}
}

func hasMore(sw apdu.SW) bool { return sw.SW1() == 0x61 || sw.SW1() == 0x9F }

// noteChannel follows MANAGE CHANNEL (ISO/IEC 7816-4, 11.1.2): a channel that
// is opened from the basic one has the card's default application, another
// that of the channel it was opened from.
func (g *Guard) noteChannel(c apdu.Command, r apdu.Response) {
	n := int(c.P2)
	if c.P1 == 0x00 && n == 0 && len(r.Data) > 0 {
		n = int(r.Data[0])
	}
	if n >= len(g.channels) {
		return
	}
	g.channels[n] = channel{}
	if from := apdu.Class(c.CLA).Channel(); c.P1 == 0x00 && from != 0 {
		g.channels[n] = g.channels[from]
	}
}

// judgeFCI tells what a SELECT has selected from its answer. An answer that
// was cut short, or not asked for, could be a domain's.
func judgeFCI(c apdu.Command, r apdu.Response) kind {
	if len(r.Data) == 0 {
		if c.Ne == 0 || hasMore(r.SW) {
			return unknown
		}
		return application
	}
	tag, rest, err := apdu.ReadTLV(r.Data)
	switch {
	case err != nil || hasMore(r.SW):
		return unknown
	case tag.Tag != 0x6F || len(rest) > 0:
		return application
	case isDomainFCI(tag.Value):
		return domain
	}
	return application
}

// gpOID begins the object identifiers of GlobalPlatform, 1.2.840.114283.
var gpOID = []byte{0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B}

// isDomainFCI tells whether the value of an FCI template is a security
// domain's: it has a domain's AID, or the security domain management data or
// the command length that only domains have to give (GlobalPlatform Card
// Specification 2.3.1, 11.9.3.1).
func isDomainFCI(fci []byte) bool {
	if aid, ok := apdu.FindTLV(fci, 0x84); ok && len(aid) >= 5 && isDomain(apdu.AID(aid)) {
		return true
	}
	if oid, ok := apdu.FindTLV(fci, 0xA5, 0x73, 0x06); ok && bytes.HasPrefix(oid, gpOID) {
		return true
	}
	_, ok := apdu.FindTLV(fci, 0xA5, 0x9F65)
	return ok
}
