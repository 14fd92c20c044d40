package gp

import (
	"io"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// domain is a security domain as an application.
type domain struct{ r *Registry }

// Select is part of [applet.Application]. The FCI is that of GlobalPlatform
// Card Specification 2.3.1, 11.9.3.1.
func (d *domain) Select() (applet.Selection, []byte, error) {
	fci := apdu.AppendTLV(nil, 0x84, []byte(ISD))
	fci = apdu.AppendTLV(fci, 0xA5, []byte{0x9F, 0x65, 0x01, 0xFF})
	return &session{d: d}, apdu.AppendTLV(nil, 0x6F, fci), nil
}

// Save is part of [applet.Application]; a domain's state is the registry's.
func (d *domain) Save() ([]byte, error) { return nil, nil }

// session is a security domain as it is selected on one channel.
type session struct{ d *domain }

// Close is part of [applet.Selection].
func (s *session) Close() {}

// Process is part of [applet.Selection].
func (s *session) Process(c apdu.Command) apdu.Response {
	switch {
	case c.INS == apdu.INSGetData:
		return s.getData(c)
	case c.INS == apdu.INSGetChallenge && c.CLA == 0x00:
		return s.getChallenge(c)
	}
	return apdu.Response{SW: apdu.SWInstruction}
}

func (s *session) getData(c apdu.Command) apdu.Response {
	if c.P1 != 0x9F || c.P2 != 0x7F {
		return apdu.Response{SW: apdu.SWReferencedDataNotFound}
	}
	return apdu.Response{Data: apdu.AppendTLV(nil, 0x9F7F, s.d.r.cplc()), SW: apdu.SWSuccess}
}

// maxChallenge bounds GET CHALLENGE; without Le or with Le 00 it gives 8 bytes.
const maxChallenge = 256

func (s *session) getChallenge(c apdu.Command) apdu.Response {
	if c.P1 != 0 || c.P2 != 0 {
		return apdu.Response{SW: apdu.SWIncorrectP1P2}
	}
	if len(c.Data) > 0 || c.Ne > maxChallenge {
		return apdu.Response{SW: apdu.SWWrongLength}
	}
	n := c.Ne
	if n == 0 || n == 256 {
		n = 8
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.d.r.cfg.Rand, b); err != nil {
		// The source of random numbers is broken: there is no better word
		// for it than a failure of the card.
		return apdu.Response{SW: apdu.SWExecutionError}
	}
	return apdu.Response{Data: b, SW: apdu.SWSuccess}
}

// cplc is the card production life cycle data, 42 bytes, with the card's
// serial number as the IC serial number and no other claim.
func (r *Registry) cplc() []byte {
	b := make([]byte, 42)
	copy(b[12:16], r.serial[:])
	return b
}
