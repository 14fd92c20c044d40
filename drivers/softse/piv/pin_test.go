package piv

import (
	"bytes"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

const (
	ok      = apdu.SWSuccess
	blocked = apdu.SWAuthMethodBlocked
)

func TestVerifyCountsDownAndBlocks(t *testing.T) {
	c := newClient(t)
	for i, want := range []apdu.SW{0x63C2, 0x63C1, 0x63C0, blocked, blocked} {
		if got := c.verify("000000"); got != want {
			t.Errorf("wrong PIN %d: got %v, want %v", i+1, got, want)
		}
	}
	if got := c.verify("123456"); got != blocked {
		t.Errorf("right PIN, blocked: got %v", got)
	}
	c.refused(blocked, 0x20, 0, 0x80)
}

func TestVerifyGivesTheTriesBack(t *testing.T) {
	c := newClient(t)
	c.verify("000000")
	c.refused(0x63C2, 0x20, 0, 0x80)
	if got := c.verify("123456"); got != ok {
		t.Fatal(got)
	}
	c.ok(0x20, 0, 0x80) // the state: verified
	c.ok(0x20, 0xFF, 0x80)
	c.refused(0x63C3, 0x20, 0, 0x80)
}

// A wrong PIN ends what the right one had opened.
func TestWrongPINClosesAgain(t *testing.T) {
	c := newClient(t)
	c.verify("123456")
	c.verify("123457")
	c.refused(0x63C2, 0x20, 0, 0x80)
}

// What is on disk when the comparison is made already lacks the try.
func TestCounterIsCommittedBeforeTheComparison(t *testing.T) {
	c := newClient(t)
	c.verify("999999")
	if n := len(c.card.saved); n != 1 {
		t.Fatalf("wrong PIN: %d commits, want 1", n)
	}
	if st := c.card.last(t); st.pin.left != 2 {
		t.Errorf("after a wrong PIN %d tries are kept, want 2", st.pin.left)
	}
	c.verify("123456")
	if n := len(c.card.saved); n != 3 {
		t.Fatalf("right PIN: %d commits, want 2 more", n)
	}
	before, err := decodeState(c.card.saved[1])
	if err != nil {
		t.Fatal(err)
	}
	if before.pin.left != 1 {
		t.Errorf("before the comparison %d tries are kept, want 1", before.pin.left)
	}
	if st := c.card.last(t); st.pin.left != 3 {
		t.Errorf("after the right PIN %d tries are kept, want 3", st.pin.left)
	}
}

func TestNoCommitNoComparison(t *testing.T) {
	c := newClient(t)
	c.card.fail = func() bool { return true }
	for range 5 {
		if got := c.verify("123456"); got != apdu.SWMemoryFailure {
			t.Errorf("got %v", got)
		}
	}
	c.card.fail = nil
	c.refused(0x63C3, 0x20, 0, 0x80)
}

func TestRightPINWhoseTriesCannotBeGivenBack(t *testing.T) {
	c := newClient(t)
	n := 0
	c.card.fail = func() bool { n++; return n == 2 }
	if got := c.verify("123456"); got != apdu.SWMemoryFailure {
		t.Fatal(got)
	}
	c.refused(0x63C2, 0x20, 0, 0x80)
}

func TestChangeReferenceData(t *testing.T) {
	c := newClient(t)
	c.ok(0x24, 0, 0x80, pad("123456"), pad("secret7"))
	if got := c.verify("123456"); got != 0x63C2 {
		t.Errorf("old PIN: %v", got)
	}
	if got := c.verify("secret7"); got != ok {
		t.Errorf("new PIN: %v", got)
	}
	c.ok(0x24, 0, 0x81, pad("12345678"), pad("87654321"))
	c.refused(0x63C2, 0x24, 0, 0x81, pad("12345678"), pad("87654321"))
	c.refused(0x63C1, 0x2C, 0, 0x80, pad("12345678"), pad("123456"))
	c.ok(0x2C, 0, 0x80, pad("87654321"), pad("123456"))
	if st := c.card.last(t); st.puk.left != 3 {
		t.Errorf("PUK has %d tries, want 3", st.puk.left)
	}
}

// A selection that knew the old PIN knows nothing of the new one.
func TestNewPINEndsOtherSelections(t *testing.T) {
	c := newClient(t)
	other := c.another()
	c.verify("123456")
	other.verify("123456")
	c.ok(0x24, 0, 0x80, pad("123456"), pad("654321"))
	c.ok(0x20, 0, 0x80)
	other.refused(0x63C3, 0x20, 0, 0x80)
	other.ok(0x2C, 0, 0x80, pad("12345678"), pad("123456"))
	c.refused(0x63C3, 0x20, 0, 0x80)
	other.refused(0x63C3, 0x20, 0, 0x80)
}

// What the standard says of the security status of the PIN.
func TestSecurityStatusAfterChanges(t *testing.T) {
	c := newClient(t)
	c.ok(0x24, 0, 0x80, pad("123456"), pad("654321"))
	c.ok(0x20, 0, 0x80) // CHANGE REFERENCE DATA verified it
	c.ok(0x2C, 0, 0x80, pad("12345678"), pad("123456"))
	c.ok(0x20, 0, 0x80) // RESET RETRY COUNTER leaves it
	c.refused(apdu.SWWrongData, 0x24, 0, 0x80, pad("123456"), pad("1"))
	c.refused(apdu.SWWrongData, 0x2C, 0, 0x80, pad("12345678"), pad("1"))
	c.ok(0x20, 0, 0x80) // data that cannot be changes nothing
	c.refused(0x63C2, 0x2C, 0, 0x80, pad("00000000"), pad("123456"))
	c.refused(0x63C3, 0x20, 0, 0x80) // a wrong PUK ends it
}

// A blocked reference is told before anything else that is wrong.
func TestBlockedIsToldFirst(t *testing.T) {
	c := newClient(t)
	for range 3 {
		c.verify("000000")
		c.send(0x24, 0, 0x81, pad("00000000"), pad("00000000"))
	}
	c.refused(blocked, 0x20, 0, 0x80, []byte{1})
	c.refused(blocked, 0x24, 0, 0x80, []byte{1})
	c.refused(blocked, 0x24, 0, 0x81, []byte{1})
	c.refused(blocked, 0x2C, 0, 0x80, []byte{1})
}

func TestChangeThatCannotBeKeptDidNotHappen(t *testing.T) {
	c := newClient(t)
	for _, at := range []int{1, 2} {
		n := 0
		c.card.fail = func() bool { n++; return n == at }
		c.refused(apdu.SWMemoryFailure, 0x24, 0, 0x80, pad("123456"), pad("654321"))
		c.card.fail = nil
		if got := c.verify("123456"); got != ok {
			t.Errorf("commit %d failed: old PIN %v", at, got)
		}
	}
}

func TestResetRetryCounterUnblocks(t *testing.T) {
	c := newClient(t)
	for range 3 {
		c.verify("000000")
	}
	c.refused(0x63C2, 0x2C, 0, 0x80, pad("00000000"), pad("111111"))
	c.ok(0x2C, 0, 0x80, pad("12345678"), pad("111111"))
	if got := c.verify("111111"); got != ok {
		t.Error(got)
	}
}

func TestSetPINRetries(t *testing.T) {
	c := newClient(t)
	c.refused(apdu.SWSecurityStatus, 0xFA, 20, 5)
	c.authenticate()
	c.refused(apdu.SWSecurityStatus, 0xFA, 20, 5)
	c.ok(0x24, 0, 0x80, pad("123456"), pad("654321"))
	c.verify("654321")
	c.ok(0xFA, 20, 5)
	c.refused(0x63CF, 0x20, 0, 0x80) // 20 do not fit the digit
	if got := c.verify("654321"); got != 0x63CF {
		t.Errorf("the PIN is the default again: got %v", got)
	}
	if got, want := c.ok(0xF7, 0, 0x80), unhex("0101FF 050101 06021413"); !bytes.Equal(got, want) {
		t.Errorf("metadata of the PIN: got % X, want % X", got, want)
	}
	if got, want := c.ok(0xF7, 0, 0x81), unhex("0101FF 050101 06020505"); !bytes.Equal(got, want) {
		t.Errorf("metadata of the PUK: got % X, want % X", got, want)
	}
}

func TestReset(t *testing.T) {
	c := newClient(t)
	other := c.another()
	c.authenticate()
	other.authenticate()
	c.generate(slotAuthentication, algP256)
	c.ok(0xDB, 0x3F, 0xFF, object(0x5FC102), unhex("5301AA"))
	c.ok(0x24, 0, 0x80, pad("123456"), pad("654321"))
	device := c.ok(0xF7, 0, 0xF9)
	c.refused(apdu.SWConditionsNotSatisfied, 0xFB, 0, 0)
	for range 3 {
		c.verify("000000")
	}
	c.refused(apdu.SWConditionsNotSatisfied, 0xFB, 0, 0)
	for range 3 {
		c.send(0x24, 0, 0x81, pad("00000000"), pad("00000000"))
	}
	c.card.fail = func() bool { return true }
	c.refused(apdu.SWMemoryFailure, 0xFB, 0, 0)
	c.card.fail = nil
	c.refused(blocked, 0x20, 0, 0x80)
	c.ok(0xFB, 0, 0)

	c.refused(0x63C3, 0x20, 0, 0x80)
	c.refused(apdu.SWReferencedDataNotFound, 0xF7, 0, 0x9A)
	c.refused(apdu.SWFileNotFound, 0xCB, 0x3F, 0xFF, object(0x5FC102))
	for _, s := range []*client{c, other} {
		s.refused(apdu.SWSecurityStatus, 0x47, 0, 0x9A, unhex("AC03800111"))
	}
	if got := c.ok(0xF7, 0, 0xF9); !bytes.Equal(got, device) {
		t.Error("the attestation key did not survive")
	}
	c.ok(0xCB, 0x3F, 0xFF, object(objectAttestation))
	if got := c.verify("123456"); got != ok {
		t.Error(got)
	}
}

func TestWellFormed(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  bool
	}{
		{"123456\xFF\xFF", true},
		{"12345678", true},
		{"abc\x00ef\xFF\xFF", true},
		{"12345\xFF\xFF\xFF", false},
		{"1234\xFF678", false},
		{"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", false},
		{"123456", false},
		{"123456789", false},
	} {
		if got := wellFormed([]byte(tt.value)); got != tt.want {
			t.Errorf("%q: got %v", tt.value, got)
		}
	}
}
