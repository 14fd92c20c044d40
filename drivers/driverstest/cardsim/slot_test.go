package cardsim_test

import (
	"bytes"
	"errors"
	"math/bits"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// terminal plays a terminal by hand, so that the card is not judged by the
// driver that it is there to judge.
type terminal struct {
	t *testing.T
	*cardsim.Slot
}

func insert(t *testing.T, opts cardsim.Options) terminal {
	t.Helper()
	if opts.Brain == nil {
		opts.Brain = driverstest.NewScripted(driverstest.Options{})
	}
	slot, err := cardsim.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	s := terminal{t, slot}
	s.do(s.SetVCC(true), s.SetBreak(false), s.Start())
	s.do(s.Configure(iso7816.Mode{Rate: 10323, Stop: 2}))
	time.Sleep(time.Millisecond)
	s.do(s.SetRST(true))
	return s
}

func (s terminal) do(errs ...error) {
	s.t.Helper()
	if err := errors.Join(errs...); err != nil {
		s.t.Fatal(err)
	}
}

// say sends bytes after a pause that keeps all guard times.
func (s terminal) say(p ...byte) {
	s.t.Helper()
	time.Sleep(20 * time.Millisecond)
	s.do(s.Write(s.t.Context(), p))
}

// hear is all that comes within a second.
func (s terminal) hear() (b []byte, bad int) {
	s.t.Helper()
	p := make([]iso7816.Char, 300)
	for end := time.Now().Add(time.Second); ; {
		n, err := s.Read(s.t.Context(), p, end)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return b, bad
		}
		s.do(err)
		for _, c := range p[:n] {
			b = append(b, c.Byte)
			if c.Bad {
				bad++
			}
		}
	}
}

func (s terminal) want(what string, want ...byte) {
	s.t.Helper()
	if got, bad := s.hear(); !bytes.Equal(got, want) || bad > 0 {
		s.t.Errorf("%s: heard %X, %d of them bad; want %X", what, got, bad, want)
	}
}

// TestT0 is a dialogue with a card on T=0, echo included.
func TestT0(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		atr := cardsim.WithTA1(false, 0, 0, 0)
		s := insert(t, cardsim.Options{ATR: atr})
		s.want("answer to reset", atr...)
		s.say(0x80, 0xE0, 0, 0, 2)
		s.want("header", 0x80, 0xE0, 0, 0, 2, 0xE0)
		s.say(0xAA, 0xBB)
		s.want("data", 0xAA, 0xBB, 0x61, 0x02)
		s.say(0x00, 0xC0, 0, 0, 2)
		s.want("GET RESPONSE", 0x00, 0xC0, 0, 0, 2, 0xC0, 0xAA, 0xBB, 0x90, 0x00)
		s.say(0x80, 0x10, 0, 3, 4)
		s.want("wrong Le", 0x80, 0x10, 0, 3, 4, 0x6C, 0x03)
		s.say(0x80, 0x10, 0, 3, 3)
		s.want("right Le", 0x80, 0x10, 0, 3, 3, 0x10, 0, 1, 2, 0x90, 0x00)
		if v := s.Violations(); len(v) > 0 {
			t.Error(v)
		}
	})
}

// TestT0ErrorSignal: a character of wrong parity is rejected and taken when it
// comes again.
func TestT0ErrorSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hit := false
		s := insert(t, cardsim.Options{ATR: cardsim.WithTA1(false, 0, 0, 0), Noise: func(tr cardsim.Transit) (d cardsim.Damage) {
			if tr.ToCard && tr.Byte == 0x5A && !hit {
				hit = true
				d.Flip = 1 << 3
			}
			return d
		}})
		s.hear()
		s.say(0x80)
		s.want("first byte", 0x80)
		s.say(0x5A)
		if got, bad := s.hear(); !bytes.Equal(got, []byte{0x5A, 0xFF}) || bad != 1 {
			t.Errorf("heard %X, %d of them bad; want the byte and the error signal", got, bad)
		}
		s.say(0x5A, 0x6A, 0x82, 0x00)
		s.want("again", 0x5A, 0x6A, 0x82, 0x00, 0x6A, 0x82)
	})
}

// TestInverse: the same characters with all bits inverted and turned round, and
// odd parity.
func TestInverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		atr := cardsim.WithTA1(true, 0, 0, 0)
		s := insert(t, cardsim.Options{ATR: atr})
		got, bad := s.hear()
		if bad != len(atr) {
			t.Errorf("%d of %d characters have odd parity", bad, len(atr))
		}
		for i := range got {
			got[i] = bits.Reverse8(^got[i])
		}
		if !bytes.Equal(got, atr) {
			t.Errorf("heard %X, want %X", got, atr)
		}
		s.do(s.Configure(iso7816.Mode{Rate: 10323, Parity: iso7816.Odd, Stop: 2}))
		header := []byte{0x80, 0x5A, 0x6A, 0x82, 0x00, 0x6A, 0x82}
		for i := range header {
			header[i] = bits.Reverse8(^header[i])
		}
		s.say(header[:5]...)
		s.want("command", header...)
	})
}

// TestT1 is a dialogue with a card on T=1 after PPS, with blocks of the
// standard's own annex in mind: I, R, S(IFS), S(RESYNCH).
func TestT1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		atr := cardsim.WithTA1(false, 0x94, 0, 0, 1)
		s := insert(t, cardsim.Options{ATR: atr})
		s.want("answer to reset", atr...)
		s.say(0xFF, 0x11, 0x94, 0x7A)
		s.want("PPS", 0xFF, 0x11, 0x94, 0x7A, 0xFF, 0x11, 0x94, 0x7A)
		s.do(s.Configure(iso7816.Mode{Rate: 60000, Stop: 2}))
		block := func(what string, send, want []byte) {
			t.Helper()
			s.say(lrc(send)...)
			s.want(what, append(lrc(send), lrc(want)...)...)
		}
		block("S(IFS)", []byte{0, 0xC1, 1, 0xFE}, []byte{0, 0xE1, 1, 0xFE})
		block("I(0)", []byte{0, 0x00, 4, 0x80, 0x5A, 0x6A, 0x82}, []byte{0, 0x00, 2, 0x6A, 0x82})
		block("R(0): again", []byte{0, 0x80, 0}, []byte{0, 0x00, 2, 0x6A, 0x82})
		block("chain, I(1, more)", []byte{0, 0x60, 2, 0x80, 0x5A}, []byte{0, 0x80, 0})
		block("I(0), the last", []byte{0, 0x00, 2, 0x6A, 0x83}, []byte{0, 0x40, 2, 0x6A, 0x83})
		block("wrong N(S)", []byte{0, 0x00, 4, 0x80, 0x5A, 0x6A, 0x84}, []byte{0, 0x92, 0})
		block("RESYNCH", []byte{0, 0xC0, 0}, []byte{0, 0xE0, 0})
		block("I(0) after it", []byte{0, 0x00, 4, 0x80, 0x5A, 0x6A, 0x85}, []byte{0, 0x00, 2, 0x6A, 0x85})
		s.say(0x00, 0x40, 0x00, 0x41)
		s.want("wrong LRC", append([]byte{0x00, 0x40, 0x00, 0x41}, lrc([]byte{0, 0x91, 0})...)...)
		if v := s.Violations(); len(v) > 0 {
			t.Error(v)
		}
	})
}

// lrc is a block with its error detection code.
func lrc(b []byte) []byte {
	var sum byte
	for _, v := range b {
		sum ^= v
	}
	return append(slices.Clone(b), sum)
}

// TestViolations: what a bad terminal is told.
func TestViolations(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		do         func(s terminal)
	}{
		{"reset too short", "RST is low for", func(s terminal) { s.do(s.SetRST(false), s.SetRST(true)) }},
		{"power off with RST high", "VCC goes", func(s terminal) { s.do(s.SetVCC(false)) }},
		{"clock off with RST high", "the clock stops", func(s terminal) { s.do(s.Stop()) }},
		{"I/O low with clock", "I/O is held low", func(s terminal) { s.do(s.SetBreak(true)) }},
		{"no turn-around", "a character after", func(s terminal) {
			s.say(0x80, 0x5A, 0x90, 0x00, 0x00)
			p := make([]iso7816.Char, 7)
			if n, err := s.Read(s.t.Context(), p[:5], time.Now().Add(time.Second)); n != 5 || err != nil {
				s.t.Fatal(n, err)
			}
			if _, err := s.Read(s.t.Context(), p, time.Now().Add(time.Second)); err != nil {
				s.t.Fatal(err)
			}
			s.do(s.Write(s.t.Context(), []byte{0x80}))
			s.hear()
		}},
		{"one stop bit", "a character after", func(s terminal) {
			s.do(s.Configure(iso7816.Mode{Rate: 10323, Stop: 1}))
			s.say(0x80, 0x5A)
			s.hear()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := insert(t, cardsim.Options{ATR: cardsim.WithTA1(false, 0, 0, 0)})
				s.hear()
				if v := s.Violations(); len(v) > 0 {
					t.Fatal(v)
				}
				tt.do(s)
				if v := s.Violations(); !slices.ContainsFunc(v, func(v string) bool { return strings.Contains(v, tt.want) }) {
					t.Errorf("%q, want one with %q", v, tt.want)
				}
			})
		})
	}
}
