package openpgp

import (
	"errors"

	"github.com/cloud-of-se/tses/apdu"
)

// INS bytes of the OpenPGP application (clause 7.1), and of the extensions.
const (
	insMSE                 = 0x22
	insChangeReferenceData = 0x24
	insPSO                 = 0x2A
	insResetRetryCounter   = 0x2C
	insActivate            = 0x44
	insGenerate            = 0x47
	insInternal            = 0x88
	insSelectData          = 0xA5
	insGetNextData         = 0xCC
	insPutData             = 0xDA
	insPutKey              = 0xDB
	insTerminate           = 0xE6

	insGetVersion    = 0xF1
	insSetPINRetries = 0xF2
)

// swTerminated: the application was terminated and not yet activated again.
const swTerminated apdu.SW = 0x6285

// selection is the security state of one selection of the instance.
type selection struct {
	app *application

	proven [proofs]bool
	epoch  [proofs]uint64

	certificate  int // occurrence of 7F21 that GET and PUT DATA mean
	decrypt      slot
	authenticate slot // keys that DECIPHER and INTERNAL AUTHENTICATE use, by MSE
}

// Process implements [applet.Selection].
func (s *selection) Process(c apdu.Command) apdu.Response {
	switch class := apdu.Class(c.CLA); {
	case class.SecureMessaging():
		return apdu.Response{SW: apdu.SWSecureMessaging}
	case c.CLA != 0:
		return apdu.Response{SW: apdu.SWClass}
	case s.app.state.terminated && c.INS != insActivate:
		return apdu.Response{SW: swTerminated}
	}
	data, err := s.execute(c)
	if err == nil {
		return apdu.Response{Data: data, SW: apdu.SWSuccess}
	}
	// What is no status word is a failure of the random source or of a
	// computation. A card has no words for it.
	sw := apdu.SWUnknown
	_ = errors.As(err, &sw) // leaves the status as it is where there is none
	return apdu.Response{SW: sw}
}

// execute is the command's response data, or an [apdu.SW] as error.
func (s *selection) execute(c apdu.Command) ([]byte, error) {
	switch c.INS {
	case apdu.INSVerify:
		return nil, s.verify(c)
	case insChangeReferenceData:
		return nil, s.changeReferenceData(c)
	case insResetRetryCounter:
		return nil, s.resetRetryCounter(c)
	case insSetPINRetries:
		return nil, s.setPINRetries(c)
	case apdu.INSGetData:
		return s.getData(c)
	case insGetNextData:
		return s.getNextData(c)
	case insSelectData:
		return nil, s.selectData(c)
	case insPutData:
		return nil, s.putData(c)
	case insPutKey:
		return nil, s.importKey(c)
	case insGenerate:
		return s.generate(c)
	case insPSO:
		return s.securityOperation(c)
	case insInternal:
		return s.internalAuthenticate(c)
	case insMSE:
		return nil, s.manageEnvironment(c)
	case apdu.INSGetChallenge:
		return s.getChallenge(c)
	case insTerminate:
		return nil, s.terminate(c)
	case insActivate:
		return nil, s.activate(c)
	case insGetVersion:
		return s.getVersion(c)
	}
	return nil, apdu.SWInstruction
}

// Close implements [applet.Selection].
func (s *selection) Close() { *s = selection{app: s.app} }

func (s *selection) getVersion(c apdu.Command) ([]byte, error) {
	if err := noParameters(c); err != nil {
		return nil, err
	}
	return append([]byte(nil), version[:]...), nil
}

// noParameters refuses P1 P2 other than 00 00 and data.
func noParameters(c apdu.Command) error {
	if c.P1 != 0 || c.P2 != 0 {
		return apdu.SWIncorrectP1P2
	}
	if len(c.Data) != 0 {
		return apdu.SWWrongLength
	}
	return nil
}

// A proof is what VERIFY has shown to a selection. PW1 is shown for signatures
// and for everything else apart (clause 4.2.2).
type proof int

const (
	toSign proof = iota // PW1 as 81
	toUse               // PW1 as 82
	admin               // PW3 as 83
	proofs
)

// of is the password that a proof is of.
func (p proof) of() reference {
	if p == admin {
		return pw3
	}
	return pw1
}

func (s *selection) has(p proof) bool {
	return s.proven[p] && s.epoch[p] == s.app.epochs[p.of()]
}

func (s *selection) set(p proof, proven bool) {
	s.proven[p], s.epoch[p] = proven, s.app.epochs[p.of()]
}

// need refuses what only who has shown the password may do.
func (s *selection) need(p proof) error {
	if s.has(p) {
		return nil
	}
	return apdu.SWSecurityStatus
}
