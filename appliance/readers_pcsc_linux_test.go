package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
	"github.com/cloud-of-se/tses/drivers/pcsc"
)

var simATR = []byte{0x3B, 0x80, 0x01, 0x81}

func newSIM() *driverstest.Scripted {
	return driverstest.NewScripted(driverstest.Options{Name: "sim", ATR: simATR})
}

const simConfig = `
[pcsc]
readers = true

[[element]]
seid    = "sim1"
driver  = "pcsc"
reader  = "Virtual PCD A ?? 00"
aliases = ["phone"]
`

// wantSoon repeats a request until its answer begins as it should: pcscd
// notices cards by and by.
func (c *client) wantSoon(t testing.TB, prefix string, commands ...string) {
	t.Helper()
	var got string
	var err error
	for end := time.Now().Add(bound); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got, err = c.ask(commands...); err != nil || strings.HasPrefix(got, prefix) {
			break
		}
	}
	if err != nil || !strings.HasPrefix(got, prefix) {
		t.Fatalf("%v: %q, %v; want %q", commands, got, err, prefix)
	}
}

// What happens in readers is seen in a session of RACS, and the session goes
// on.
func TestReadersThroughRACS(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p := vpcd.Start(t, "A")
	// In its cage, from which the socket of pcscd is reached.
	s := serveTSES(t, "-confine", "self", "-config", writeConfig(t, simConfig))
	c := s.mustOpen(t, "user")
	found := pcsc.SEID(p.Reader("A1"), simATR)

	c.want(t, "+004 001 phone sim1 ", "LIST")
	c.want(t, "-808 001 ", "POWERON sim1")
	sim := newSIM()
	card := p.Insert("A0", sim)
	c.wantSoon(t, "+008 001 ", "POWERON sim1")
	c.want(t, "+006 001 00019000", "APDU sim1 00B0000002")
	c.want(t, "+005 001 ", "RESET phone WARM")

	// Pulled in the middle of an APDU.
	if err := c.send("APDU sim1 80DD7530"); err != nil {
		t.Fatal(err)
	}
	for sim.Counts().Commands < 2 {
		time.Sleep(time.Millisecond)
	}
	if err := card.Pull(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.answer(); err != nil || !strings.HasPrefix(got, "-806 001 ") || !strings.Contains(got, "removed") || !strings.Contains(got, "may have been executed") {
		t.Errorf("the APDU in whose middle the card was pulled: %q, %v", got, err)
	}
	c.want(t, "-808 001 ", "POWERON sim1")
	c.want(t, "+002 001 0.3", "GET-VERSION")
	p.Insert("A0", newSIM())
	c.wantSoon(t, "+008 001 ", "POWERON sim1")
	c.want(t, "+006 001 00019000", "APDU sim1 00B0000002")

	// A card that no element is.
	card = p.Insert("A1", newSIM())
	other := s.mustOpen(t, "admin")
	c.wantSoon(t, "+008 001 ", "POWERON "+found)
	other.want(t, "-708 001 ", "POWERON "+found)
	c.want(t, "+006 001 00019000", "APDU "+found+" 00B0000002")
	if err := card.Pull(); err != nil {
		t.Fatal(err)
	}
	other.wantSoon(t, "-408 001 ", "POWERON "+found)
	c.want(t, "-806 001 ", "APDU "+found+" 00B0000002")
	c.want(t, "-808 001 ", "POWERON "+found)
	c.want(t, "+006 001 00019000", "APDU sim1 00B0000002")

	// pcscd is killed and comes back.
	p.Kill()
	c.want(t, "-806 001 ", "APDU sim1 00B0000002")
	c.wantSoon(t, "-808 001 ", "POWERON sim1")
	p.Restart("A")
	p.Insert("A0", newSIM())
	p.Insert("A1", newSIM())
	c.wantSoon(t, "+008 001 ", "POWERON sim1")
	c.wantSoon(t, "+008 001 ", "POWERON "+found)
	c.want(t, "+006 001 00019000", "APDU "+found+" 00B0000002")
}

// An APDU goes the whole way and back: a PC/SC program, the socket of racs
// pcsc, RACS, the TSES, pcscd, vpcd, a card.
func TestBothDoors(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	racs := filepath.Join(t.TempDir(), "racs")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", racs, "../cmd/racs").CombinedOutput(); err != nil {
		t.Fatalf("go build ../cmd/racs: %v\n%s", err, out)
	}
	p := vpcd.Start(t, "A")
	sim := newSIM()
	p.Insert("A0", sim)
	s := serveTSES(t, "-config", writeConfig(t, simConfig))
	c := s.mustOpen(t, "user")
	c.wantSoon(t, "+008 001 ", "POWERON sim1")
	c.want(t, "+007 001 ", "SHUTDOWN sim1")
	before := sim.Counts()

	program := buildDirect(t).args("", 1, "80E1000004C0FFEE0000", fmt.Sprintf("80E00000001000%X0000", driverstest.Pattern(0x1000)))
	cmd := exec.CommandContext(t.Context(), racs, append([]string{"pcsc", "sim1=Remote SIM", "--"}, program...)...)
	cmd.Env = append(os.Environ(), "RACS_SERVER="+s.addr, "RACS_CA="+s.file("ca.pem"), "RACS_CRED="+s.file("credentials/user.pem"))
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("racs pcsc ended with %d:\n%s\n%s", exit.ExitCode(), out, s.log)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"program: reader Remote SIM\n", "program: ATR 3B800181\n",
		"program: 12 bytes: 80E1000004C0FFEE00009000\n",
		"program: 4098 bytes: 000102030405060708090A0B0C0D0E0F\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the program did not say %q:\n%s", want, out)
		}
	}
	after := sim.Counts()
	if n := after.Commands - before.Commands; n != 2 {
		t.Errorf("the card got %d commands, want the program's 2", n)
	}
	if n := after.WarmResets + after.ColdResets + after.PowerOns - before.WarmResets - before.ColdResets - before.PowerOns; n < 2 {
		t.Errorf("the card was reset %d times, want at power on and by the program", n)
	}
	c.wantSoon(t, "+008 001 ", "POWERON sim1") // the program has given it back
}
