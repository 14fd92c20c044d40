package piv

import (
	"bytes"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

func TestSelectTellsTheApplication(t *testing.T) {
	c := newClient(t)
	_, fci, err := c.card.app.Select()
	if err != nil {
		t.Fatal(err)
	}
	want := unhex("61 16 4F 06 000010000100 79 07 4F 05 A000000308 50 03 504956")
	if !bytes.Equal(fci, want) {
		t.Errorf("got % X\nwant % X", fci, want)
	}
}

func TestModuleMatchesTheAIDsThatClientsSelect(t *testing.T) {
	for _, partial := range []string{"A000000308", "A00000030800001000", "A000000308000010000100"} {
		if !Package().Modules[0].AID.Matches(apdu.MustAID(partial)) {
			t.Errorf("%s does not match", partial)
		}
	}
}

func TestIdentity(t *testing.T) {
	c := newClient(t)
	if got := c.ok(0xFD, 0, 0); !bytes.Equal(got, []byte{5, 7, 0}) {
		t.Errorf("version % X", got)
	}
	if got := c.ok(0xF8, 0, 0); !bytes.Equal(got, []byte{0xC0, 0x5E, 0x00, 0x07}) {
		t.Errorf("serial % X", got)
	}
}

func TestInstallRefusesParameters(t *testing.T) {
	_, err := Package().Modules[0].Install(&fakeCard{}, moduleAID, []byte{1})
	if err != apdu.SWWrongData {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsWhatWasProven(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	if sw := c.verify("123456"); sw != apdu.SWSuccess {
		t.Fatal(sw)
	}
	c.s.Close()
	c.refused(0x63C3, 0x20, 0, 0x80)
	c.refused(apdu.SWSecurityStatus, 0xFF, 0xFF, 0xFF, unhex("03 9B 18"), make([]byte, 24))
}

func TestSelectionsProveApart(t *testing.T) {
	c := newClient(t)
	other := c.another()
	c.authenticate()
	if sw := c.verify("123456"); sw != apdu.SWSuccess {
		t.Fatal(sw)
	}
	other.refused(0x63C3, 0x20, 0, 0x80)
	other.refused(apdu.SWSecurityStatus, 0x47, 0, 0x9A, unhex("AC03800111"))
}
