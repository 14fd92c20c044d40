package driverstest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// defectVar names the defect in the environment of this test program when it
// runs itself.
const defectVar = "DRIVERSTEST_DEFECT"

// defects are broken drivers with what the conformance body must say of each.
var defects = []struct {
	name, says string
	breakIt    func(*broken)
}{
	{"bad ATR", "TS is 00", func(b *broken) { b.atr = func(atr []byte) []byte { atr[0] = 0; return atr } }},
	{"shared ATR", "the second PowerOn", func(b *broken) {
		var shared [32]byte
		n := byte(0)
		b.atr = func(atr []byte) []byte { n++; shared[0] = n; return shared[:copy(shared[1:], atr)+1] }
	}},
	{"power off of an off SE fails", "never powered on: boom", func(b *broken) { b.offWhenOff = errors.New("boom") }},
	{"powers on by itself", "want the secure element is powered off", func(b *broken) { b.autoOn = true }},
	{"deaf to a done context", "want context canceled", func(b *broken) { b.deaf = true }},
	{"own error for a context", "want context", func(b *broken) { b.hideContext = true }},
	{"forgets the unknown outcome", "does not match", func(b *broken) { b.certain = true }},
	{"slow to give up", "still running", func(b *broken) { b.linger = 5 * time.Second }},
	{"writes to the command", "wrote to the command", func(b *broken) { b.before = func(c []byte) { c[0] |= 1 } }},
	{"appends to the command", "wrote to the command", func(b *broken) { b.before = func(c []byte) { _ = append(c, 0) } }},
	{"one buffer for answers", "answer 0 became", func(b *broken) {
		buffer := make([]byte, 70000)
		b.answer = func(r []byte) []byte { return buffer[:copy(buffer, r)] }
	}},
	{"wrong answer", "want 6A82", func(b *broken) { b.answer = func(r []byte) []byte { return append(r, 0x90, 0) } }},
	{"sends twice", "executed 2 times", func(b *broken) { b.twice = true }},
	{"another name when on", "String is", func(b *broken) { b.named = true }},
}

// broken is a scripted card behind a defective driver.
type broken struct {
	*Scripted
	atr                        func([]byte) []byte
	before                     func([]byte)
	answer                     func([]byte) []byte
	offWhenOff                 error
	autoOn, deaf, twice, named bool
	hideContext, certain       bool
	linger                     time.Duration
}

func (b *broken) context(ctx context.Context) context.Context {
	if b.deaf {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

func (b *broken) PowerOn(ctx context.Context) ([]byte, error) {
	atr, err := b.Scripted.PowerOn(b.context(ctx))
	if err == nil && b.atr != nil {
		atr = b.atr(atr)
	}
	return atr, err
}

func (b *broken) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if b.autoOn && !b.On() {
		b.set(true)
	}
	if b.before != nil {
		b.before(command)
	}
	command = slices.Clone(command)
	if b.twice {
		_, _ = b.Scripted.Transmit(ctx, command) // the defect: sent for nothing
	}
	r, err := b.Scripted.Transmit(b.context(ctx), command)
	if err != nil {
		return nil, b.disguise(err)
	}
	if b.answer != nil {
		r = b.answer(r)
	}
	return r, nil
}

func (b *broken) disguise(err error) error {
	unknown := errors.Is(err, drivers.ErrOutcomeUnknown)
	if unknown && b.linger > 0 {
		time.Sleep(b.linger)
	}
	switch {
	case unknown && b.hideContext:
		return errors.Join(drivers.ErrMute, drivers.ErrOutcomeUnknown)
	case unknown && b.certain:
		return context.DeadlineExceeded
	}
	return err
}

func (b *broken) PowerOff(ctx context.Context) error {
	if b.offWhenOff != nil && !b.On() {
		return b.offWhenOff
	}
	return b.Scripted.PowerOff(ctx)
}

func (b *broken) String() string {
	if b.named && b.On() {
		return "on"
	}
	return b.Scripted.String()
}

// TestConformanceFindsDefects runs this test program once for each defect,
// because the body reports by failing its test.
func TestConformanceFindsDefects(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestDefect$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), defectVar+"="+d.name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), d.says) {
				t.Errorf("error %v, want one and %q in:\n%s", err, d.says, out)
			}
		})
	}
}

// TestDefect is the body on one broken driver.
func TestDefect(t *testing.T) {
	name := os.Getenv(defectVar)
	if name == "" {
		t.Skip("run by TestConformanceFindsDefects only")
	}
	i := 0
	for i < len(defects) && defects[i].name != name {
		i++
	}
	var last *broken
	Conformance(t, func(*testing.T) drivers.SE {
		last = &broken{Scripted: NewScripted(Options{})}
		defects[i].breakIt(last)
		return last
	}, Probe{
		Exchanges: []Exchange{
			{Name: "status word", Command: unhex(t, "805A6A82"), Want: unhex(t, "6A82")},
			{Name: "read", Command: unhex(t, "00B0000002"), Want: unhex(t, "00019000")},
		},
		Slow: unhex(t, "80DD7530"), SlowTime: 30 * time.Second, Bubble: true,
		Executed: func() int64 { return last.Counts().Commands },
	})
}
