package access

import (
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
//     issuer security domain as a rule. The same holds for what was selected in a
//     way that leaves open what it is, and for what was selected on a logical
//     channel that was not opened by MANAGE CHANNEL.
//   - What would hide another command from these rules is refused:
//     interindustry ENVELOPE, and SELECT in a chain of commands.
//
// A Guard is used by one goroutine at a time. It starts as after a reset.
//
// What it does not judge: ENVELOPE in a proprietary class, which brings a SIM
// messages that are secured between their sender and the SIM (ETSI TS 102 225).
type Guard struct {
	planes   Plane
	channels [apdu.Channels]kind
	opened   [apdu.Channels]bool // by MANAGE CHANNEL
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

// isDomainUse tells whether INS, in a proprietary class, is one that a
// security domain acts upon and that no SIM uses otherwise.
func isDomainUse(ins byte) bool {
	switch ins {
	case apdu.INSStoreData, apdu.INSInitializeUpdate, apdu.INSExternalAuthenticate, insManageUpgrade:
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
