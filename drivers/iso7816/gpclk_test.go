package iso7816_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/cloud-of-se/tses/drivers/iso7816"
	"periph.io/x/conn/v3/physic"
)

// clockManager is the registers of a clock manager as the data sheet has them:
// a write without the password is lost, BUSY follows ENAB, and divisor and
// source must not change while it is BUSY.
type clockManager struct {
	t     *testing.T
	regs  map[int64]uint32
	log   []string
	stuck bool // a generator that stops by KILL alone
	dead  bool // one that does neither start nor stop
}

func (m *clockManager) Read(offset int64) uint32 { return m.regs[offset] }

func (m *clockManager) Write(offset int64, value uint32) {
	m.log = append(m.log, fmt.Sprintf("%06X %08X", offset, value))
	if offset < 0x101070 || offset > 0x101084 {
		m.regs[offset] = value
		return
	}
	if value>>24 != 0x5A {
		m.t.Errorf("%X is written to %X without the password", value, offset)
		return
	}
	value &= 0xFFFFFF
	ctl := offset &^ 4
	busy := m.regs[ctl] & 0x80
	if busy != 0 && (offset != ctl || (m.regs[ctl]^value)&0xF != 0) {
		m.t.Errorf("%X is written to %X while the clock is busy", value, offset)
	}
	switch {
	case offset != ctl:
	case m.dead:
		value |= busy
	case value&0x10 != 0 || m.stuck && busy != 0 && value&0x20 == 0:
		value |= 0x80
	}
	m.regs[offset] = value
}

func (m *clockManager) Close() error { return nil }

// TestGPCLK checks divisors and the order of the registers.
func TestGPCLK(t *testing.T) {
	for _, tt := range []struct {
		soc       iso7816.SoC
		pin       int
		want, got physic.Frequency
		ctl       int64
		source    uint32
		divisor   uint32
		fsel      int64
		function  uint32
	}{
		{iso7816.BCM2837, 4, 3840 * physic.KiloHertz, 3840 * physic.KiloHertz, 0x101070, 1, 5, 0x200000, 4 << 12},
		{iso7816.BCM2837, 20, 4800 * physic.KiloHertz, 4800 * physic.KiloHertz, 0x101070, 1, 4, 0x200008, 2},
		{iso7816.BCM2837, 6, 4 * physic.MegaHertz, 4 * physic.MegaHertz, 0x101080, 6, 125, 0x200000, 4 << 18},
		{iso7816.BCM2711, 5, 4500 * physic.KiloHertz, 4500 * physic.KiloHertz, 0x101078, 1, 12, 0x200000, 4 << 15},
		{iso7816.BCM2711, 4, 5 * physic.MegaHertz, 5 * physic.MegaHertz, 0x101070, 6, 150, 0x200000, 4 << 12},
		{iso7816.BCM2711, 4, 3579545 * physic.Hertz, 3571428571429 * physic.MicroHertz, 0x101070, 6, 210, 0x200000, 4 << 12},
	} {
		t.Run(fmt.Sprintf("%s GPIO%d %v", tt.soc.Name, tt.pin, tt.want), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &clockManager{t: t, regs: map[int64]uint32{tt.ctl: 0x95, 0x200000: 0x3FFFFFFF &^ uint32(7<<12), 0x200008: 1 << 3}}
				c, err := iso7816.NewGPCLK(tt.soc, m, tt.pin, tt.want)
				if err != nil {
					t.Fatal(err)
				}
				if f := c.Frequency(); (f-tt.got).String() != "0Hz" && (f-tt.got > physic.Hertz || tt.got-f > physic.Hertz) {
					t.Errorf("%v, want %v", f, tt.got)
				}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				if got, want := m.regs[tt.ctl], tt.source|0x90; got != want {
					t.Errorf("CTL is %X, want %X", got, want)
				}
				if got, want := m.regs[tt.ctl+4], tt.divisor<<12; got != want {
					t.Errorf("DIV is %X, want %X", got, want)
				}
				shift := 3 * (tt.pin % 10)
				if got := m.regs[tt.fsel] & (7 << shift); got != tt.function {
					t.Errorf("GPFSEL has %X, want %X", got, tt.function)
				}
				if err := c.Stop(); err != nil {
					t.Fatal(err)
				}
				if got := m.regs[tt.ctl] & 0x90; got != 0 {
					t.Errorf("CTL has %X after Stop", got)
				}
				if got := m.regs[tt.fsel] >> shift & 7; got != 1 {
					t.Errorf("the pin has function %d after Stop, want output", got)
				}
				if low := fmt.Sprintf("200028 %08X", 1<<tt.pin); !slices.Contains(m.log, low) {
					t.Errorf("the pin is not set low: %v", m.log)
				}
			})
		})
	}
}

// TestGPCLKTrouble: generators that do not obey, and what cannot be made.
func TestGPCLKTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name        string
			stuck, dead bool
			ctl         uint32
			ok          bool
		}{
			{"stops by KILL", true, false, 0x91, true},
			{"does not stop", false, true, 0x91, false},
			{"does not start", false, true, 0x01, false},
		} {
			m := &clockManager{t: t, regs: map[int64]uint32{0x101070: tt.ctl}, stuck: tt.stuck, dead: tt.dead}
			c, err := iso7816.NewGPCLK(iso7816.BCM2837, m, 4, 4*physic.MegaHertz)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); (err == nil) != tt.ok {
				t.Errorf("%s: Start: %v", tt.name, err)
			}
		}
	})
	for name, make := range map[string]func() (*iso7816.GPCLK, error){
		"GPIO17":  func() (*iso7816.GPCLK, error) { return iso7816.NewGPCLK(iso7816.BCM2837, nil, 17, physic.MegaHertz) },
		"10 kHz":  func() (*iso7816.GPCLK, error) { return iso7816.NewGPCLK(iso7816.BCM2837, nil, 4, physic.KiloHertz) },
		"nothing": func() (*iso7816.GPCLK, error) { return iso7816.NewGPCLK(iso7816.BCM2837, nil, 4, 0) },
	} {
		if c, err := make(); !errors.Is(err, iso7816.ErrUnsupported) {
			t.Errorf("%s: %v, %v; want %v", name, c, err, iso7816.ErrUnsupported)
		}
	}
}
