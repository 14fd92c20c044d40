package piv

import (
	"errors"

	"github.com/cloud-of-se/tses/apdu"
)

// INS bytes of SP 800-73-4 part 2, table 2, and of the extensions.
const (
	insChangeReferenceData = 0x24
	insResetRetryCounter   = 0x2C
	insGenerateAsymmetric  = 0x47
	insGeneralAuthenticate = 0x87
	insGetData             = 0xCB
	insPutData             = 0xDB

	insMoveKey          = 0xF6
	insGetMetadata      = 0xF7
	insGetSerial        = 0xF8
	insAttest           = 0xF9
	insSetPINRetries    = 0xFA
	insReset            = 0xFB
	insGetVersion       = 0xFD
	insImportAsymmetric = 0xFE
	insSetManagementKey = 0xFF
)

// selection is the security state of one selection of the instance.
type selection struct {
	app *application

	pinVerified bool
	pinFresh    bool // no private key was used since; what PIN policy "always" asks for
	pinEpoch    uint64

	managementVerified bool
	managementEpoch    uint64

	exchange exchange
}

// Process implements [applet.Selection].
func (s *selection) Process(c apdu.Command) apdu.Response {
	switch class := apdu.Class(c.CLA); {
	case class.SecureMessaging():
		return apdu.Response{SW: apdu.SWSecureMessaging}
	case c.CLA != 0:
		return apdu.Response{SW: apdu.SWClass}
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
	case insGenerateAsymmetric:
		return s.generate(c)
	case insGeneralAuthenticate:
		return s.generalAuthenticate(c)
	case insImportAsymmetric:
		return nil, s.importKey(c)
	case insMoveKey:
		return nil, s.moveKey(c)
	case insAttest:
		return s.attest(c)
	case insGetData:
		return s.getData(c)
	case insPutData:
		return nil, s.putData(c)
	case insGetMetadata:
		return s.metadata(c)
	case insSetManagementKey:
		return nil, s.setManagementKey(c)
	case insGetVersion, insGetSerial:
		return s.identity(c)
	case insReset:
		return nil, s.reset(c)
	}
	return nil, apdu.SWInstruction
}

// Reselect implements [applet.Reselecter]: the application stays selected and
// its security status as it is (SP 800-73-4 part 2, 3.1.1).
func (s *selection) Reselect() ([]byte, error) { return s.app.propertyTemplate(), nil }

// Close implements [applet.Selection].
func (s *selection) Close() {
	s.exchange.end()
	*s = selection{app: s.app}
}

// identity answers GET VERSION (three bytes) and GET SERIAL (four).
func (s *selection) identity(c apdu.Command) ([]byte, error) {
	if err := noParameters(c); err != nil {
		return nil, err
	}
	if c.INS == insGetVersion {
		return append([]byte(nil), version[:]...), nil
	}
	serial := s.app.card.Serial()
	return serial[:], nil
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

func (s *selection) hasPIN() bool {
	return s.pinVerified && s.pinEpoch == s.app.pinEpoch
}

func (s *selection) setPIN(verified bool) {
	s.pinVerified, s.pinFresh, s.pinEpoch = verified, verified, s.app.pinEpoch
}

// needManagement refuses what only the holder of the management key may do.
func (s *selection) needManagement() error {
	if s.managementVerified && s.managementEpoch == s.app.managementEpoch {
		return nil
	}
	return apdu.SWSecurityStatus
}

func (s *selection) setManagement(verified bool) {
	s.managementVerified, s.managementEpoch = verified, s.app.managementEpoch
}
