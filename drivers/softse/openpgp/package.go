package openpgp

import (
	"slices"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// Identifiers of the load file and of its one module: the RID and PIX of the
// application (OpenPGP Smart Card Application 3.4, 4.2.1), and its version.
const (
	packageAID = apdu.AID("\xD2\x76\x00\x01\x24\x01\x03")
	moduleAID  = apdu.AID("\xD2\x76\x00\x01\x24\x01\x03\x04")

	// manufacturer is of the range for serial numbers that are drawn at random.
	manufacturer = "\xFF\x00"
)

// version is what GET VERSION, which is an extension, tells: that of the
// firmware whose commands package piv has.
var version = [3]byte{5, 7, 0}

// Package is the built-in load file of the OpenPGP application: one module, AID
// D276000124010304. It takes no application-specific parameters; any answer
// INSTALL with 6A80. A fresh card has it under the AID that the application
// tells, which has the card's serial number in it.
func Package() applet.Package {
	return applet.Package{
		AID: packageAID, Major: 3, Minor: 4,
		Modules: []applet.Module{{
			AID:         moduleAID,
			InstanceAID: func(card applet.Card) apdu.AID { return apdu.AID(fullAID(card)) },
			Install:     install,
			Load:        load,
		}},
	}
}

// fullAID is the value of DO 4F.
func fullAID(card applet.Card) []byte {
	serial := card.Serial()
	return slices.Concat([]byte(moduleAID), []byte(manufacturer), serial[:], []byte{0, 0})
}

func install(card applet.Card, _ apdu.AID, params []byte) (applet.Application, error) {
	if len(params) != 0 {
		return nil, apdu.SWWrongData
	}
	return &application{card: card, state: factoryState()}, nil
}

func load(card applet.Card, _ apdu.AID, encoded []byte) (applet.Application, error) {
	st, err := decodeState(encoded)
	if err != nil {
		return nil, err
	}
	return &application{card: card, state: st}, nil
}
