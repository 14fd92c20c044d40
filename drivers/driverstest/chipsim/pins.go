package chipsim

import (
	"errors"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

var (
	_ gpio.PinOut = (*ResetPin)(nil)
	_ gpio.PinOut = (*Pin)(nil)
	_ gpio.PinIn  = (*ReadyPin)(nil)
)

// ResetPin is the line that holds a chip in reset. It implements
// [gpio.PinOut].
type ResetPin struct {
	chip   *Chip
	active gpio.Level
}

// NewResetPin makes the line; the chip is held at the level active. Until the
// line is driven the chip is as it was.
func NewResetPin(c *Chip, active gpio.Level) *ResetPin { return &ResetPin{c, active} }

// Out implements [gpio.PinOut].
func (p *ResetPin) Out(l gpio.Level) error {
	p.chip.hold(l == p.active)
	return nil
}

// PWM implements [gpio.PinOut].
func (p *ResetPin) PWM(gpio.Duty, physic.Frequency) error {
	return errors.New("chipsim: no PWM on a reset pin")
}

func (p *ResetPin) String() string   { return "RESET" }
func (p *ResetPin) Name() string     { return "RESET" }
func (p *ResetPin) Number() int      { return -1 }
func (p *ResetPin) Function() string { return "Out" }

// Halt implements [gpio.PinOut].
func (p *ResetPin) Halt() error { return nil }

// Pin is an output with nothing behind it but those who read it. It implements
// [gpio.PinOut].
type Pin struct {
	name  string
	level atomic.Bool
}

// NewPin makes a pin that is low.
func NewPin(name string) *Pin { return &Pin{name: name} }

// Read is the level.
func (p *Pin) Read() gpio.Level { return gpio.Level(p.level.Load()) }

// Out implements [gpio.PinOut].
func (p *Pin) Out(l gpio.Level) error {
	p.level.Store(bool(l))
	return nil
}

// PWM implements [gpio.PinOut].
func (p *Pin) PWM(gpio.Duty, physic.Frequency) error {
	return errors.New("chipsim: no PWM on this pin")
}

func (p *Pin) String() string   { return p.name }
func (p *Pin) Name() string     { return p.name }
func (p *Pin) Number() int      { return -1 }
func (p *Pin) Function() string { return "Out" }

// Halt implements [gpio.PinOut].
func (p *Pin) Halt() error { return nil }

// ReadyPin is the line by which a chip says that it has an answer, active high.
// It implements [gpio.PinIn].
type ReadyPin struct {
	chip  *Chip
	waits atomic.Int64
}

// Waits counts the waits for an edge.
func (p *ReadyPin) Waits() int64 { return p.waits.Load() }

// NewReadyPin makes the line.
func NewReadyPin(c *Chip) *ReadyPin { return &ReadyPin{chip: c} }

// Read implements [gpio.PinIn].
func (p *ReadyPin) Read() gpio.Level {
	p.chip.mu.Lock()
	defer p.chip.mu.Unlock()
	c := p.chip
	return gpio.Level(c.listens() && c.pos < len(c.out) && !c.outAt.After(time.Now()))
}

// edgeStep is how exactly the simulated edge is noticed.
const edgeStep = 10 * time.Microsecond

// WaitForEdge implements [gpio.PinIn].
func (p *ReadyPin) WaitForEdge(timeout time.Duration) bool {
	p.waits.Add(1)
	for until := time.Now().Add(timeout); timeout < 0 || time.Now().Before(until); time.Sleep(edgeStep) {
		if p.Read() {
			return true
		}
	}
	return false
}

// In implements [gpio.PinIn].
func (p *ReadyPin) In(_ gpio.Pull, e gpio.Edge) error {
	if e != gpio.RisingEdge && e != gpio.BothEdges {
		return errors.New("chipsim: the line is active high: wait for its rising edge")
	}
	return nil
}

func (p *ReadyPin) String() string         { return "READY" }
func (p *ReadyPin) Name() string           { return "READY" }
func (p *ReadyPin) Number() int            { return -1 }
func (p *ReadyPin) Function() string       { return "In" }
func (p *ReadyPin) Pull() gpio.Pull        { return gpio.PullDown }
func (p *ReadyPin) DefaultPull() gpio.Pull { return gpio.PullDown }

// Halt implements [gpio.PinIn].
func (p *ReadyPin) Halt() error { return nil }
