package openpgp

import (
	"maps"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// application is an installed instance.
type application struct {
	card  applet.Card
	state state

	// epochs end what selections have proven of a password when it is no longer
	// the card's: a selection's proof counts in the epoch it was made in.
	epochs [passwords]uint64
}

// state is what survives. Slices, maps and keys in it are replaced, never
// written to, so that a copy is a state of its own.
type state struct {
	terminated bool
	severally  bool // PW1 is good for more than one signature
	signatures uint32
	passwords  [passwords]password
	slots      [slots]slotState
	objects    map[apdu.Tag][]byte // those that are kept as they came
	certs      [slots][]byte       // 7F21, in order of occurrence: AUT, DEC, SIG
	aes        []byte              // D5
}

// slotState is what lasts of one of the three keys.
type slotState struct {
	attributes  attributes
	key         *key // nil: none
	fingerprint [20]byte
	ca          [20]byte // fingerprint of a CA's key
	made        [4]byte  // seconds since 1970
}

func factoryState() state {
	st := state{
		passwords: factoryPasswords(),
		objects:   map[apdu.Tag][]byte{doSex: {'9'}},
	}
	for i := range st.slots {
		st.slots[i].attributes = defaultAttributes
	}
	return st
}

// change makes a change for good, or not at all: where the card cannot commit,
// which its own log tells, the answer is 6581.
func (a *application) change(do func(st *state)) error {
	old := a.state
	a.state.objects = maps.Clone(old.objects)
	do(&a.state)
	if err := a.card.Commit(); err != nil {
		a.state = old
		return apdu.SWMemoryFailure
	}
	return nil
}

// Select implements [applet.Application]. The FCI is no more than the AID, by
// which package access sees that this is no security domain. A terminated application is selected with a
// warning, and takes ACTIVATE FILE alone.
func (a *application) Select() (applet.Selection, []byte, error) {
	s := &selection{app: a, decrypt: slotDecrypt, authenticate: slotAuthenticate}
	fci := apdu.AppendTLV(nil, 0x6F, apdu.AppendTLV(nil, 0x84, fullAID(a.card)))
	if a.state.terminated {
		return s, fci, swTerminated
	}
	return s, fci, nil
}

// Save implements [applet.Application].
func (a *application) Save() ([]byte, error) { return a.state.encode() }

// Wipe implements [applet.Wiper].
func (a *application) Wipe() { a.state.wipe() }

// wipe clears what can be cleared of a state that was given up.
func (st *state) wipe() {
	for _, p := range st.passwords {
		clear(p.value)
	}
	for _, s := range st.slots {
		s.key.wipe()
	}
	clear(st.aes)
}
