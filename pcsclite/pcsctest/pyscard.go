//go:build unix

package pcsctest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// python finds an interpreter that has pyscard: Debian's package is for
// Debian's python alone.
func python(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import smartcard").Run() == nil {
			return name
		}
	}
	Missing(t, "python3 with smartcard (Debian package python3-pyscard)")
	return ""
}

// connectScript connects, transmits, reconnects with a reset, and looks at
// state and attributes.
const connectScript = `
import sys
from smartcard.System import readers
from smartcard.scard import *
name = sys.argv[1]
r = [r for r in readers() if str(r) == name][0]
c = r.createConnection()
c.connect()
print("atr", bytes(c.getATR()).hex())
data, sw1, sw2 = c.transmit([0, 0xA4, 4, 0, 0])
print("sw %02x%02x" % (sw1, sw2))
c.disconnect()
def ok(what, result):
    if result[0] != SCARD_S_SUCCESS:
        raise Exception(what + ": " + SCardGetErrorMessage(result[0]))
    return result[1:]
ctx, = ok("establish", SCardEstablishContext(SCARD_SCOPE_USER))
card, proto = ok("connect", SCardConnect(ctx, name, SCARD_SHARE_EXCLUSIVE, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1))
proto, = ok("reconnect", SCardReconnect(card, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1, SCARD_RESET_CARD))
ok("begin", (SCardBeginTransaction(card),))
ok("transmit", SCardTransmit(card, SCARD_PCI_T1 if proto == SCARD_PROTOCOL_T1 else SCARD_PCI_T0, [0, 0xA4, 4, 0, 0]))
ok("end", (SCardEndTransaction(card, SCARD_LEAVE_CARD),))
reader, state, proto, atr = ok("status", SCardStatus(card))
print("status", reader, bytes(atr).hex())
print("attrib", bytes(ok("attrib", SCardGetAttrib(card, SCARD_ATTR_ATR_STRING))[0]).hex())
print("control", SCardControl(card, SCARD_CTL_CODE(3400), [])[0])
ok("disconnect", (SCardDisconnect(card, SCARD_UNPOWER_CARD),))
ok("release", (SCardReleaseContext(ctx),))
print("done")
`

// Pyscard runs a Python program of PC/SC calls. atr is the card's.
func Pyscard(t *testing.T, g Target, atr []byte) {
	py := python(t)
	a := hex(atr, "", false)
	g.want(t, []string{"atr " + a, "sw 9000", "status " + g.Reader + " " + a, "attrib " + a, "control 0\n", "done"}, "", py, script(t, connectScript), g.Reader)
}

// holdScript begins a transaction and keeps it.
const holdScript = `
import sys, time
from smartcard.scard import *
r, ctx = SCardEstablishContext(SCARD_SCOPE_USER)
r, card, proto = SCardConnect(ctx, sys.argv[1], SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1)
r = SCardBeginTransaction(card)
print("holding" if r == SCARD_S_SUCCESS else SCardGetErrorMessage(r), flush=True)
time.sleep(60)
`

// KilledInTransaction kills a program inside a transaction: the next program
// gets the card at once.
func KilledInTransaction(t *testing.T, g Target) {
	cmd := g.Command(t, time.Minute, python(t), script(t, holdScript), g.Reader)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	killErr := cmd.Process.Kill()
	_ = cmd.Wait() // tells of the kill
	if line != "holding\n" || err != nil || killErr != nil {
		t.Fatalf("the program said %q, %v, %v", line, err, killErr)
	}
	start := time.Now()
	g.want(t, []string{"SW1=0x90, SW2=0x00"}, "", Need(t, "opensc-tool", "opensc"), "-r", g.Reader, "-c", "default", "-s", "00:A4:04:00:00")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the next program had to wait for %v", took)
	}
}

func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.py")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// monitorScript tells of readers and cards as they come and go, until its
// standard input ends.
const monitorScript = `
import os, sys
from smartcard.CardMonitoring import CardMonitor, CardObserver
from smartcard.ReaderMonitoring import ReaderMonitor, ReaderObserver
def say(*words):
    print(*words, flush=True)
class Cards(CardObserver):
    def update(self, observable, actions):
        added, removed = actions
        for c in added: say("inserted", c.reader)
        for c in removed: say("removed", c.reader)
class Readers(ReaderObserver):
    def update(self, observable, actions):
        added, removed = actions
        for r in added: say("plugged", r)
        for r in removed: say("unplugged", r)
cards, readers = Cards(), Readers()
CardMonitor().addObserver(cards)
ReaderMonitor().addObserver(readers)
say("ready")
sys.stdin.read()
os._exit(0) # its threads wait for ever
`

// Step is something that happens to a reader and the line that the monitoring
// program of [Monitor] has to write of it: "removed NAME", "inserted NAME",
// "plugged NAME", "unplugged NAME".
type Step struct {
	Do   func()
	Want string
}

// Monitor runs a Python program that watches readers and cards. The reader of
// the target has a card at the start.
func Monitor(t *testing.T, g Target, steps []Step) {
	cmd := g.Command(t, time.Minute, python(t), script(t, monitorScript))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	err = follow(lines, append([]Step{{func() {}, "inserted " + g.Reader}}, steps...))
	_ = in.Close() // ends the program; where it has ended, Wait tells how
	for lines.Scan() {
	}
	if waitErr := cmd.Wait(); err != nil || waitErr != nil {
		t.Fatalf("monitoring: %v, %v\n%s", err, waitErr, complaints.String())
	}
}

func follow(lines *bufio.Scanner, steps []Step) error {
	seen := ""
	for _, step := range steps {
		step.Do()
		for found := false; !found; {
			if !lines.Scan() {
				return fmt.Errorf("no %q; it said:\n%s", step.Want, seen)
			}
			seen += lines.Text() + "\n"
			found = lines.Text() == step.Want
		}
	}
	return nil
}
