package piv

import (
	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// Identifiers of the load file and of its one module. The module's AID is the
// application's of SP 800-73-4 part 1, 2.2, version 1.0 included, so that an
// instance of the same AID is what clients select.
const (
	packageAID = apdu.AID("\xA0\x00\x00\x03\x08\x00\x00\x10")
	moduleAID  = apdu.AID("\xA0\x00\x00\x03\x08\x00\x00\x10\x00\x01\x00")
	ridLength  = 5
)

// Version that GET VERSION and attestations tell: the first one of the
// extensions' origin that has all the commands and algorithms that are here.
var version = [3]byte{5, 7, 0}

// Package is the built-in load file of the PIV application: one module, AID
// A000000308000010000100. It takes no application-specific parameters; any
// answer INSTALL with 6A80.
func Package() applet.Package {
	return applet.Package{
		AID:   packageAID,
		Major: version[0],
		Minor: version[1],
		Modules: []applet.Module{{
			AID:     moduleAID,
			Install: install,
			Load:    load,
		}},
	}
}

func install(card applet.Card, instance apdu.AID, params []byte) (applet.Application, error) {
	if len(params) != 0 {
		return nil, apdu.SWWrongData
	}
	a := &application{card: card, instance: instance, state: factoryState()}
	if err := a.makeDeviceKey(); err != nil {
		return nil, err
	}
	return a, nil
}

func load(card applet.Card, instance apdu.AID, encoded []byte) (applet.Application, error) {
	st, err := decodeState(encoded)
	if err != nil {
		return nil, err
	}
	return &application{card: card, instance: instance, state: st}, nil
}
