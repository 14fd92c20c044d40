package piv

import (
	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// application is an installed instance.
type application struct {
	card     applet.Card
	instance apdu.AID
	state    state

	// Epochs end what selections have proven when the secret that they proved
	// is no longer the one of the card: a selection's PIN counts in the epoch
	// it was verified in.
	pinEpoch, managementEpoch uint64
}

// state is what survives.
type state struct {
	pin, puk   reference
	management managementKey
	keys       map[slot]*key
	objects    map[apdu.Tag][]byte
}

func factoryState() state {
	return state{
		pin:        newReference(defaultPIN, defaultTries),
		puk:        newReference(defaultPUK, defaultTries),
		management: defaultManagementKey(),
		keys:       map[slot]*key{},
		objects:    map[apdu.Tag][]byte{},
	}
}

// Select implements [applet.Application].
func (a *application) Select() (applet.Selection, []byte, error) {
	return &selection{app: a}, a.propertyTemplate(), nil
}

// Save implements [applet.Application].
func (a *application) Save() ([]byte, error) { return a.state.encode() }

// commit makes the change that the caller has made last, or undoes it. Why
// the card could not commit is its own to tell; the answer is 6581.
func (a *application) commit(undo func()) error {
	if err := a.card.Commit(); err != nil {
		undo()
		return apdu.SWMemoryFailure
	}
	return nil
}

// propertyTemplate is the answer to SELECT (SP 800-73-4 part 2, table 3): the
// PIX with the version, the RID as the authority for tags, and a label.
func (a *application) propertyTemplate() []byte {
	aid := []byte(a.instance)
	pix, rid := aid, aid
	if len(aid) > ridLength {
		pix, rid = aid[ridLength:], aid[:ridLength]
	}
	var t []byte
	t = apdu.AppendTLV(t, 0x4F, pix)
	t = apdu.AppendTLV(t, 0x79, apdu.AppendTLV(nil, 0x4F, rid))
	t = apdu.AppendTLV(t, 0x50, []byte("PIV"))
	return apdu.AppendTLV(nil, 0x61, t)
}
