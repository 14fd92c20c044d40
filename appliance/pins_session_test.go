package main

import (
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/stp/racs"
)

// dialBench connects as the user of the first run.
func dialBench(t *testing.T, addr, state string) *racs.Client {
	t.Helper()
	roots, err := racs.LoadCA(filepath.Join(state, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pair := loadPair(t, filepath.Join(state, credentialsDir, "user.pem"))
	client, err := racs.Dial(t.Context(), addr, racs.ClientConfig(roots, *pair, "localhost"), racs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// TestPinsInASession pulls each of the three out under a session that has it,
// and puts it back: the session gets it by a reset, and the other two have
// noticed nothing.
func TestPinsInASession(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for chips that do not answer")
	}
	b, state := newBench(t), filepath.Join(t.TempDir(), "state")
	addr := b.start(t, state, new(logBuffer))
	client := dialBench(t, addr, state)
	selectPIV := []byte{0x00, 0xA4, 0x04, 0x00, 0x05, 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00}
	works := func(seid string) {
		t.Helper()
		answer, err := client.Transmit(t.Context(), seid, selectPIV)
		if sw := hex.EncodeToString(answer); err != nil || !strings.HasSuffix(sw, "9000") && !strings.HasPrefix(sw, "61") {
			t.Errorf("%s: %s %v", seid, sw, err)
		}
	}
	all := []string{"se050", "gp", "sim"}
	for _, seid := range all {
		if _, err := client.PowerOn(t.Context(), seid); err != nil {
			t.Fatal(err)
		}
	}
	for _, seid := range all {
		b.pull(seid)
		_, err := client.Transmit(t.Context(), seid, selectPIV)
		if s := (racs.Status{}); !errors.As(err, &s) || s.Class != racs.HardwareError {
			t.Errorf("%s: %v, want an error of class %d", seid, err, racs.HardwareError)
		}
		for _, other := range all {
			if other != seid {
				works(other)
			}
		}
		b.plug(seid)
		if _, err := client.Reset(t.Context(), seid, false); err != nil {
			t.Errorf("%s: %v", seid, err)
		}
		works(seid)
	}
	// Letting go of it and powering it on is as good.
	seid := "sim"
	b.pull(seid)
	if _, err := client.Transmit(t.Context(), seid, selectPIV); err == nil {
		t.Errorf("%s answers from the drawer", seid)
	}
	b.plug(seid)
	if err := client.Shutdown(t.Context(), seid); err != nil {
		t.Errorf("%s: %v", seid, err)
	}
	if _, err := client.PowerOn(t.Context(), seid); err != nil {
		t.Errorf("%s: %v", seid, err)
	}
	works(seid)
}
