package piv

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// filled is a client of an application that has something of everything.
func filled(t testing.TB) *client {
	c := newClient(t)
	c.authenticate()
	for s, a := range map[slot]algorithm{0x9A: algP256, 0x9C: algP384, 0x9D: algX25519, 0x9E: algEd25519} {
		c.ok(0x47, 0, byte(s), unhex("AC06 8001"), []byte{byte(a)}, unhex("AB0103"))
	}
	c.importVector()
	c.ok(0xDB, 0x3F, 0xFF, object(0x5FC102), unhex("5303010203"))
	c.ok(0xDB, 0x3F, 0xFF, object(0x5FC105), apdu.AppendTLV(nil, 0x53, make([]byte, 3000)))
	setKey(c, 0x0C, bytes.Repeat([]byte{0xA5}, 32))
	c.verify("000000")
	return c
}

func save(t testing.TB, c *client) []byte {
	t.Helper()
	b, err := c.card.app.Save()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStateRoundTrip(t *testing.T) {
	c := filled(t)
	again := c.reload()
	if !bytes.Equal(save(t, c), save(t, again)) {
		t.Error("a loaded state is saved otherwise")
	}
	for _, ref := range []byte{0x80, 0x81, 0x9B, 0x9A, 0x9C, 0x9D, 0x9E, 0xF9} {
		if got, want := again.ok(0xF7, 0, ref), c.ok(0xF7, 0, ref); !bytes.Equal(got, want) {
			t.Errorf("metadata of %02X: got % X, want % X", ref, got, want)
		}
	}
	again.refused(0x63C2, 0x20, 0, 0x80)
}

// The bytes of Save are wiped by who asked for them.
func TestSavedBytesAreNotShared(t *testing.T) {
	c := filled(t)
	b := save(t, c)
	want := bytes.Clone(b)
	clear(b)
	if !bytes.Equal(save(t, c), want) {
		t.Error("wiping the saved bytes changed the application")
	}
	loaded, err := decodeState(want)
	if err != nil {
		t.Fatal(err)
	}
	kept := bytes.Clone(want)
	clear(want)
	if again, err := loaded.encode(); err != nil || !bytes.Equal(again, kept) {
		t.Errorf("wiping the loaded bytes changed the application: %v", err)
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.generate(0x9A, algEd25519)
	good := save(t, c)
	const (
		pinTotal   = 4 + 8
		pinLeft    = pinTotal + 1
		management = 4 + 10 + 10
		keyCount   = management + 2 + 24
		firstKey   = keyCount + 1
	)
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	swapped := func() []byte { // the same object twice
		st, err := decodeState(good)
		if err != nil {
			t.Fatal(err)
		}
		st.objects = map[apdu.Tag][]byte{0x5FC101: {1}, 0x5FC102: {2}}
		b, err := st.encode()
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-4] = 1
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"header":             change(0, 'Q'),
		"version":            change(3, 2),
		"PIN value":          change(4, 0xFF),
		"no tries":           change(pinTotal, 0),
		"more left than all": change(pinLeft, 4),
		"management key":     change(management, 0x11),
		"touch policy of 9B": change(management+1, 9),
		"fewer keys":         change(keyCount, 1),
		"more keys":          change(keyCount, 3),
		"slot":               change(firstKey, 0x9B),
		"order of slots":     change(firstKey, 0xFA),
		"origin":             change(firstKey+1, 0),
		"PIN policy":         change(firstKey+2, 4),
		"touch policy":       change(firstKey+3, 0),
		"length of a key":    change(firstKey+4, 0xFF),
		"key":                change(firstKey+6, 0),
		"object twice":       swapped(),
		"byte too many":      append(bytes.Clone(good), 0),
		"attestation X25519": x25519InAttestation(t, good),
	} {
		if _, err := Package().Modules[0].Load(&fakeCard{}, moduleAID, b); !errors.Is(err, ErrState) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for n := range good {
		if _, err := decodeState(good[:n]); !errors.Is(err, ErrState) {
			t.Fatalf("cut to %d bytes: got %v", n, err)
		}
	}
}

func x25519InAttestation(t *testing.T, good []byte) []byte {
	st, err := decodeState(good)
	if err != nil {
		t.Fatal(err)
	}
	private, err := newPrivate(algX25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.keys[slotAttestation].setPrivate(private); err != nil {
		t.Fatal(err)
	}
	b, err := st.encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzLoad(f *testing.F) {
	c := filled(f)
	good := save(f, c)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(slices.Concat(good, good))
	f.Add([]byte(stateHeader))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := decodeState(b)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := st.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeState(again); err != nil {
			t.Fatalf("what was loaded and saved is refused: %v", err)
		}
	})
}
