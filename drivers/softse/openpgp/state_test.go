package openpgp

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

func TestLoadRefuses(t *testing.T) {
	good := equipped(t)
	if _, err := decodeState(good); err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) []byte {
		if bytes.Count(good, []byte(old)) == 0 {
			t.Fatalf("%x is not in the state", old)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	for name, state := range map[string][]byte{
		"empty":                     nil,
		"another version":           replace("PGP\x01", "PGP\x02"),
		"bytes left over":           append(bytes.Clone(good), 0),
		"cut":                       good[:len(good)-1],
		"a flag":                    replace("PGP\x01\x00", "PGP\x01\x02"),
		"signature counter":         replace("PGP\x01\x00\x00\x00", "PGP\x01\x00\x00\x01"),
		"more tries than there are": replace("123456\x03\x03", "123456\x03\x04"),
		"no tries":                  replace("123456\x03\x03", "123456\x00\x00"),
		"short PW1":                 replace("\x00\x06123456", "\x00\x0512345"),
		"no PW3":                    replace("\x00\x0812345678\x03", "\x00\x00\x03"),
		"algorithm":                 replace("\x13\x2A\x86", "\x12\x2A\x86"),
		"a key of another curve":    replace("\x00\x09\x13\x2A\x86\x48\xCE\x3D\x03\x01\x07", "\x00\x06\x13\x2B\x81\x04\x00\x22"),
		"an object of no kind":      replace("\x5F\x35\x00\x01", "\x5F\x36\x00\x01"),
		"an impossible object":      replace("\x5F\x35\x00\x019", "\x5F\x35\x00\x018"),
	} {
		if _, err := decodeState(state); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v; want %v", name, err, ErrState)
		}
	}
}

func TestInstall(t *testing.T) {
	m := Package().Modules[0]
	if _, err := m.Install(&fakeCard{}, m.AID, []byte{1}); err != apdu.SWWrongData {
		t.Errorf("parameters: %v", err)
	}
	if got, want := m.InstanceAID(&fakeCard{}).String(), "D276000124010304FF00405E00070000"; !strings.EqualFold(got, want) {
		t.Errorf("AID %s, want %s", got, want)
	}
	if !m.InstanceAID(&fakeCard{}).Matches("\xD2\x76\x00\x01\x24\x01") {
		t.Error("terminals do not find it")
	}
}

// A try that is taken is on disk before the comparison, and given back by a
// commit after it.
func TestCounterIsCommittedBeforeTheComparison(t *testing.T) {
	c := newClient(t)
	c.ok("00200081 313233343536")
	if n := len(c.card.saved); n != 2 {
		t.Fatalf("%d commits, want 2", n)
	}
	for i, want := range []byte{2, 3} {
		st, err := decodeState(c.card.saved[i])
		if err != nil {
			t.Fatal(err)
		}
		if got := st.passwords[pw1].left; got != want {
			t.Errorf("commit %d keeps %d tries, want %d", i, got, want)
		}
	}
}

// PW1 and PW3 are the selections' own, and a new value ends what others showed.
func TestNewPasswordEndsOtherSelections(t *testing.T) {
	c := newClient(t).everything()
	other := c.another().everything()
	c.ok("00240081 313233343536 363534333231")
	c.ok("00200081")
	c.ok("00200082")
	other.refused(0x63C3, "00200081")
	other.refused(0x63C3, "00200082")
	other.ok("00200083")
	c.s.Close()
	c.refused(0x63C3, "00200082")
}
