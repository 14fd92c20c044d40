package cardsim

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/iso7816"
	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/physic"
)

// TestStream: a card whose contacts come in the stream.
func TestStream(t *testing.T) {
	master, path, err := openMaster()
	if err != nil {
		t.Fatal(err)
	}
	side, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer side.Close()
	tty, err := iso7816.OpenTTY(path)
	if err != nil {
		t.Fatal(err)
	}
	atr := WithTA1(false, 0x97, 0, 0)
	told := make(chan string, 1)
	s, err := Attach(master, Options{Brain: driverstest.NewScripted(driverstest.Options{}), ATR: atr}, func(text string) { told <- text })
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	contacts := StreamContacts{W: side, FixedClock: iso7816.FixedClock(3840 * physic.KiloHertz)}
	opts := iso7816.DefaultOpts
	opts.NoParity = true
	opts.Latency = 2 * time.Second
	opts.Attempts = 1
	d, err := iso7816.New(tty, contacts, contacts, &opts)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.PowerOn(t.Context())
	if err != nil || !bytes.Equal(got, atr) {
		t.Fatalf("PowerOn: %X, %v; want %X", got, err, atr)
	}
	// PPS has made the card faster than its answer to reset is.
	if got, err = d.Reset(t.Context(), drivers.Warm); err != nil || !bytes.Equal(got, atr) {
		t.Fatalf("warm reset: %X, %v; want %X", got, err, atr)
	}
	if err := contacts.Note("well"); err != nil {
		t.Fatal(err)
	}
	select {
	case text := <-told:
		if text != "well" {
			t.Errorf("told %q, want %q", text, "well")
		}
	case <-time.After(5 * time.Second):
		t.Error("the note does not come")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestStreamPieces: frames come in any pieces, and what looks like the beginning
// of one and is none goes to the wire.
func TestStreamPieces(t *testing.T) {
	said := append([]byte("ab\xF7\x1DTS"), frameStart...)
	said = append(append(said, "Nhello\n\xF7\xF7"...), frameStart...)
	said = append(said, "vcd"...)
	for cut := range said {
		slot, err := New(Options{Brain: driverstest.NewScripted(driverstest.Options{}), ATR: WithTA1(false, 0, 0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		var notes []string
		s := &Stream{pump: newPump(slot, nil), note: func(text string) { notes = append(notes, text) }}
		s.look = s.assume
		wire := append(s.obey(said[:cut]), s.obey(said[cut:])...)
		if string(wire) != "ab\xF7\x1DTS\xF7\xF7cd" || len(notes) != 1 || notes[0] != "hello" {
			t.Errorf("cut at %d: wire %q, notes %q", cut, wire, notes)
		}
	}
}
