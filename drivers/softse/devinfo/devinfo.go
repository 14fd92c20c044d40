// Package devinfo is the application of the software SE that tools made for
// YubiKeys ask what they have before them: ykman wants a serial number and a
// firmware version from it, and drivers select it to end what was proven to
// another application. It has the AID of the YubiKey's management application,
// tells, and configures nothing.
package devinfo

import (
	"encoding/binary"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// Identifiers of the load file and of its one module.
const (
	packageAID = apdu.AID("\xA0\x00\x00\x05\x27\x47\x11")
	moduleAID  = apdu.AID("\xA0\x00\x00\x05\x27\x47\x11\x17")
)

// version of the firmware, that of the PIV application (package piv).
var version = [3]byte{5, 7, 0}

// insReadConfig reads the configuration, as a byte of length and data objects.
const insReadConfig = 0x1D

// Data objects of the configuration.
const (
	tagSupported  = 0x01 // capabilities
	tagSerial     = 0x02
	tagEnabled    = 0x03
	tagFormFactor = 0x04 // 00: unknown
	tagVersion    = 0x05
	tagLocked     = 0x0A
)

// Capabilities.
const (
	openPGP = 0x08
	piv     = 0x10
)

// Package is the built-in load file: one module, AID A000000527471117, without
// parameters and without a state.
func Package() applet.Package {
	return applet.Package{
		AID: packageAID, Major: version[0], Minor: version[1],
		Modules: []applet.Module{{AID: moduleAID, Install: install, Load: load}},
	}
}

func install(card applet.Card, _ apdu.AID, params []byte) (applet.Application, error) {
	if len(params) != 0 {
		return nil, apdu.SWWrongData
	}
	return &application{card: card}, nil
}

func load(card applet.Card, _ apdu.AID, state []byte) (applet.Application, error) {
	if len(state) != 0 {
		return nil, fmt.Errorf("device information has no state, %d bytes were kept", len(state))
	}
	return &application{card: card}, nil
}

// application is an instance and, as nothing is proven to it, each of its
// selections.
type application struct{ card applet.Card }

// Select implements [applet.Application]. The answer ends in the version, as
// text.
func (a *application) Select() (applet.Selection, []byte, error) {
	return a, fmt.Appendf(nil, "TSES software SE - FW version %d.%d.%d", version[0], version[1], version[2]), nil
}

// Save implements [applet.Application].
func (a *application) Save() ([]byte, error) { return nil, nil }

// Close implements [applet.Selection].
func (a *application) Close() {}

// Process implements [applet.Selection].
func (a *application) Process(c apdu.Command) apdu.Response {
	switch {
	case c.CLA != 0:
		return apdu.Response{SW: apdu.SWClass}
	case c.INS != insReadConfig:
		return apdu.Response{SW: apdu.SWInstruction}
	case c.P1 != 0 || c.P2 != 0: // further pages
		return apdu.Response{SW: apdu.SWIncorrectP1P2}
	}
	config := a.configuration()
	return apdu.Response{Data: append([]byte{byte(len(config))}, config...), SW: apdu.SWSuccess}
}

func (a *application) configuration() []byte {
	serial := a.card.Serial()
	capabilities := binary.BigEndian.AppendUint16(nil, piv|openPGP)
	b := apdu.AppendTLV(nil, tagSupported, capabilities)
	b = apdu.AppendTLV(b, tagSerial, serial[:])
	b = apdu.AppendTLV(b, tagEnabled, capabilities)
	b = apdu.AppendTLV(b, tagFormFactor, []byte{0})
	b = apdu.AppendTLV(b, tagVersion, version[:])
	return apdu.AppendTLV(b, tagLocked, []byte{0})
}
