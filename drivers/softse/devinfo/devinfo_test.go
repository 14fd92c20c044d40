package devinfo

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

type card struct{ applet.Card }

func (card) Serial() [4]byte { return [4]byte{0x01, 0x02, 0x03, 0x04} }

func TestTells(t *testing.T) {
	m := Package().Modules[0]
	if _, err := m.Install(card{}, m.AID, []byte{1}); err != apdu.SWWrongData {
		t.Errorf("parameters: %v", err)
	}
	if _, err := m.Load(card{}, m.AID, []byte{1}); err == nil {
		t.Error("it was loaded from a state that it never wrote")
	}
	app, err := m.Install(card{}, m.AID, nil)
	if err != nil {
		t.Fatal(err)
	}
	state, err := app.Save()
	if err != nil {
		t.Fatal(err)
	}
	if app, err = m.Load(card{}, m.AID, state); err != nil {
		t.Fatal(err)
	}
	s, text, err := app.Select()
	if err != nil || !bytes.HasSuffix(text, []byte(" 5.7.0")) {
		t.Errorf("SELECT: %q, %v", text, err)
	}
	for _, tt := range []struct {
		c    apdu.Command
		want string
	}{
		{apdu.Command{INS: 0x1D}, "19 01020018 020401020304 03020018 040100 0503050700 0A0100 9000"},
		{apdu.Command{INS: 0x1D, P1: 1}, "6A86"},
		{apdu.Command{INS: 0x1C}, "6D00"}, // write
		{apdu.Command{CLA: 0x80, INS: 0x1D}, "6E00"},
	} {
		want, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(tt.want), []byte(" "), nil)))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Process(tt.c).Bytes(); !bytes.Equal(got, want) {
			t.Errorf("%v: %X, want %X", tt.c, got, want)
		}
	}
	s.Close()
}
