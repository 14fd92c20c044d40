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
//     FCI, and gets then no more than GET DATA, GET RESPONSE, GET CHALLENGE and
//     MANAGE CHANNEL.
//   - INSTALL, LOAD, DELETE, PUT KEY and SET STATUS in a proprietary class are
//     refused on every channel, whatever is selected there.
//   - STORE DATA and the opening of a secure channel are refused until an
//     application is selected: what a card selects by itself at reset is its
//     issuer security domain as a rule. So are, in the interindustry class, what
//     would be management for a card that does not look at that bit.
//   - An application is taken for selected on a channel while nothing can have
//     replaced it, on any card. See below.
//   - What would hide another command from these rules is refused:
//     interindustry ENVELOPE; SELECT, and what a domain acts upon, in a chain of
//     commands; and MANAGE CHANNEL in a chain or under secure messaging.
//
// # Which card it is
//
// A Guard does not know what the card makes of a logical channel: it may have
// none and hear every command on the basic one, take the low bits of CLA alone, open
// a channel by SELECT, or say that it has opened one and have not. So it trusts
// no card to tell channels apart:
//   - A SELECT that is not seen to have selected an application, on whatever
//     channel, ends the trust in what was selected on all of them. Where all
//     later SELECTs have selected applications, no way in which a card can map
//     channels to selections leaves a domain where an application was seen.
//   - The trust ends with a SELECT that failed, because the old selection may be
//     gone, and with one that may not have been executed: behind an open chain.
//   - Nothing is trusted on a channel that MANAGE CHANNEL has not opened, in the
//     plain class and with a number that was asked for. What a card selects on a
//     new channel is not known: its default, or what the opening channel has.
//   - Opening a channel ends the trust in what is selected on all but the basic
//     one. Closing one, MANAGE CHANNEL in another class, an answer to it that
//     nobody asked for, and a lost answer end it on all channels.
//
// An application that was seen to be selected again, on its channel, is trusted
// again. What is relied upon is that a card hears the channel in the proprietary
// class as it does in SELECT (GlobalPlatform Card Specification 2.3.1, 11.1.4),
// and that domains give their FCI (11.9.3.1).
//
// A Guard is used by one goroutine at a time. It starts as after a reset.
//
// What it does not judge: ENVELOPE in a proprietary class, which brings a SIM
// messages that are secured between their sender and the SIM (ETSI TS 102 225).
type Guard struct {
	planes   Plane
	channels [apdu.Channels]kind
	opened   [apdu.Channels]bool // by MANAGE CHANNEL, without a doubt
	chained  [apdu.Channels]bool // the last command began or continued a chain
	due      due
}

// due is the SELECT whose FCI is still to come, by a GET RESPONSE that has to
// follow at once.
type due struct {
	is      bool
	channel int
	p2      byte // of the SELECT
}

// kind is what is known of the application on one logical channel.
type kind uint8

const (
	unknown     kind = iota // what the card selected by itself, or cannot be told
	application             // not a security domain
	domain                  // a security domain
)

// NewGuard returns a guard for a credential's planes.
func NewGuard(planes Plane) *Guard { return &Guard{planes: planes} }

// Reset forgets everything: the SE was powered on or reset.
func (g *Guard) Reset() { *g = Guard{planes: g.planes} }

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
	selected := g.channels[class.Channel()]
	switch {
	case isSelect(c):
		return refuseSelect(c)
	case c.INS == apdu.INSEnvelope && !class.Proprietary():
		return "ENVELOPE can carry any command"
	case c.INS == apdu.INSManageChannel && !class.Proprietary() && !isPlain(class):
		return "MANAGE CHANNEL in a chain or under secure messaging hides what it does"
	case class.Proprietary() && isManagement(c.INS):
		return managementNames[c.INS] + " is GlobalPlatform management"
	case class.Chained() && isDomainUse(c):
		return "a chain of commands can end where a security domain is selected"
	case selected == domain && !isHarmless(c.INS):
		return "a security domain is selected on this channel"
	case selected == unknown && isDomainUse(c):
		return "no application is known to be selected on this channel, a security domain may be; select the application (again)"
	}
	return ""
}

// isPlain tells whether a class is interindustry, says its channel, and nothing
// else: 00 to 03, or 40 to 4F (ISO/IEC 7816-4, 5.4.1).
func isPlain(class apdu.Class) bool { return class&0xFC == 0 || class&0xF0 == 0x40 }

// isSelect tells whether the command is SELECT by AID (ISO/IEC 7816-4, 11.2.2),
// or is so for a card that looks at that bit of P1 alone.
func isSelect(c apdu.Command) bool { return c.INS == apdu.INSSelect && c.P1&0x04 != 0 }

// maySelectRoot tells whether the command is SELECT of the MF, which may bring
// back what the card selects by itself, or hides whether it is.
func maySelectRoot(c apdu.Command, plain bool) bool {
	root := len(c.Data) == 0 || bytes.Equal(c.Data, []byte{0x3F, 0x00})
	return c.INS == apdu.INSSelect && c.P1 == 0 && (root || !plain)
}

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
// ones), what card makers used before it had one, and the domains of an eUICC
// (GSMA SGP.02, annex H).
var domainAIDs = []apdu.AID{
	apdu.MustAID("A000000151"),
	apdu.MustAID("A000000003000000"),
	apdu.MustAID("A000000018434D"),
	apdu.MustAID("A0000005591010FFFFFFFF89"),
}

// accessRules begins the AIDs of the access rule applications, which have
// GlobalPlatform's RID and are no security domains (GlobalPlatform Secure
// Element Access Control).
var accessRules = apdu.MustAID("A00000015141434C")

// isDomain tells whether an AID, full or partial, can select one of them.
func isDomain(aid apdu.AID) bool {
	if aid.Matches(accessRules) {
		return false
	}
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

// insManageUpgrade is MANAGE ELF UPGRADE (GlobalPlatform Amendment H).
const insManageUpgrade = 0xEA

// isDomainUse tells whether a command is one that a security domain acts upon
// and that no SIM uses otherwise. A domain need not look at the class; but
// interindustry EXTERNAL AUTHENTICATE is common on cards without applications,
// and opens no secure channel without INITIALIZE UPDATE.
func isDomainUse(c apdu.Command) bool {
	switch c.INS {
	case apdu.INSStoreData, apdu.INSInitializeUpdate, insManageUpgrade:
		return true
	case apdu.INSExternalAuthenticate:
		return apdu.Class(c.CLA).Proprietary()
	}
	return isManagement(c.INS)
}

// isHarmless tells whether a security domain may get INS from everybody.
func isHarmless(ins byte) bool {
	switch ins {
	case apdu.INSGetData, apdu.INSGetResponse, apdu.INSManageChannel, apdu.INSGetChallenge:
		return true
	}
	return false
}
