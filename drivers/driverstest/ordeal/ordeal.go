package ordeal

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

// Trial is one driver, one chip and what is to go wrong between them. It is run
// in a bubble of testing/synctest by its caller.
type Trial struct {
	SE    drivers.SE
	Brain *Brain
	Rand  *rand.Rand

	Commands   int
	MaxCommand int // bytes of the longest command that the wire can carry
	MaxAnswer  int // data bytes of the longest answer

	Faults func(on bool) // switches all faults; they are off to begin with
}

// Result is what became of the commands.
type Result struct {
	Answered, Unknown, NotExecuted int
	PowerOns                       int // that were needed to go on
}

// inARow is how many commands may fail one after the other before the driver is
// powered on again; then, without faults, it must work.
const inARow = 2

// Run sends the commands.
func (tr Trial) Run(t *testing.T) Result {
	t.Helper()
	var r Result
	tr.usable(t)
	tr.Faults(true)
	failures, lost := 0, false
	for i := range tr.Commands {
		command := tr.command(uint32(i))
		tr.Brain.expect(command, lost)
		answer, err := tr.transmit(t, command)
		lost = false
		switch {
		case err == nil:
			failures = 0
			r.Answered++
			if want := Answer(command); !bytes.Equal(answer, want) {
				t.Fatalf("command %d, %.8X of %d bytes: got %.16X of %d bytes, want %.16X of %d bytes", i, command, len(command), answer, len(answer), want, len(want))
			}
			if n := tr.Brain.executed(); n != 1 {
				t.Fatalf("command %d: answered and executed %d times", i, n)
			}
		case errors.Is(err, drivers.ErrOutcomeUnknown):
			lost = true
			failures++
			r.Unknown++
		default:
			failures++
			r.NotExecuted++
			if n := tr.Brain.executed(); n != 0 {
				t.Fatalf("command %d: executed, and the error does not say so: %v", i, err)
			}
		}
		if found := tr.Brain.Findings(); len(found) > 0 {
			t.Fatalf("command %d: %q (error %v)", i, found, err)
		}
		if failures >= inARow {
			failures = 0
			r.PowerOns++
			tr.Faults(false)
			tr.Brain.expect(nil, lost)
			lost = false
			tr.usable(t)
			tr.Faults(true)
		}
	}
	tr.Faults(false)
	tr.Brain.expect(nil, lost)
	tr.usable(t)
	return r
}

// transmit sends a command, now and then with little time.
func (tr Trial) transmit(t *testing.T, command []byte) ([]byte, error) {
	ctx := t.Context()
	if tr.Rand.IntN(100) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(tr.Rand.IntN(20_000))*time.Microsecond)
		defer cancel()
	}
	return tr.SE.Transmit(ctx, command)
}

// usable shows that the driver works without faults.
func (tr Trial) usable(t *testing.T) {
	t.Helper()
	if _, err := tr.SE.PowerOn(t.Context()); err != nil {
		t.Fatalf("PowerOn without faults: %v", err)
	}
	command := []byte{0x80, 0xFF, 0xFF, 0xFF, 16}
	tr.Brain.expect(command, false)
	answer, err := tr.SE.Transmit(t.Context(), command)
	if want := Answer(command); err != nil || !bytes.Equal(answer, want) {
		t.Fatalf("Transmit after PowerOn without faults: %X, %v; want %X", answer, err, want)
	}
}

// command is number i: its INS, P1 and P2 are the number, so that there are no
// two alike. Lengths are mostly short and now and then the longest.
func (tr Trial) command(i uint32) []byte {
	c := apdu.Command{CLA: 0x80, INS: byte(i >> 16), P1: byte(i >> 8), P2: byte(i)}
	caseOf := tr.Rand.IntN(4)
	if caseOf&1 != 0 {
		c.Ne = 1 + tr.size(tr.MaxAnswer)
	}
	if caseOf&2 != 0 {
		c.Data = make([]byte, 1+tr.size(min(tr.MaxCommand-9, 65535)))
		for j := range c.Data {
			c.Data[j] = byte(i) + byte(j)*3
		}
	}
	b, err := c.Bytes()
	if err != nil {
		panic(err) // the sizes above are within their bounds
	}
	return b
}

// size is below limit.
func (tr Trial) size(limit int) int {
	switch n := tr.Rand.IntN(1000); {
	case n < 700:
		return tr.Rand.IntN(min(limit, 64))
	case n < 950:
		return tr.Rand.IntN(min(limit, 300))
	case n < 996:
		return tr.Rand.IntN(min(limit, 2000))
	case n < 999:
		return tr.Rand.IntN(limit)
	}
	return limit - 1
}
