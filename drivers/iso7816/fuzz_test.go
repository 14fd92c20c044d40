package iso7816

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

// FuzzPPS: a response that is taken is one that would be written so.
func FuzzPPS(f *testing.F) {
	f.Add([]byte{0xFF, 0x10, 0x94, 0x7B})
	f.Add([]byte{0xFF, 0x01, 0xFE})
	f.Add([]byte{0xFF, 0x70, 0x94, 0x00, 0x00, 0x1B})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePPS(b)
		if err != nil {
			if !errors.Is(err, errPPS) {
				t.Fatalf("%X: %v does not match errPPS", b, err)
			}
			return
		}
		if again := p.append(nil); !bytes.Equal(again, b) {
			t.Errorf("%X is read as %+v, which is %X", b, p, again)
		}
	})
}

// FuzzPPSLine plays arbitrary characters after a request.
func FuzzPPSLine(f *testing.F) {
	f.Add([]byte{0xFF, 0x11, 0x94, 0x7A})
	f.Add([]byte{0xFF, 0x01, 0xFE})
	f.Add([]byte{0xFF})
	f.Fuzz(func(t *testing.T, b []byte) {
		l := tapeLink(&tape{card: chars(b)})
		request := pps{protocol: 1, rate: 0x94, hasRate: true}
		p, err := l.exchangePPS(t.Context(), request)
		if (err == nil) != (p.protocol == 1 && (!p.hasRate || p.rate == 0x94)) && err == nil {
			t.Errorf("%X is taken for an answer to %+v: %+v", b, request, p)
		}
	})
}

// FuzzATR plays an answer to reset and what follows it. What is taken has the
// length that it tells, and every answer that package apdu can read is taken. With anyTCK its TCK may be
// missing, wrong or needless.
func FuzzATR(f *testing.F) {
	for _, seed := range []string{
		"\x3B\x00", "\x3B\x04\x80SIM", "\x3B\x9F\x96\x80\x1F\xC7\x80\x31\xA0\x73\xBE\x21\x13\x67\x43\x20\x07\x18\x00\x00\x01\xA5",
		"\x3B\x80\x01\x81", "\x3B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
		"\x03\x00", "\x60",
	} {
		f.Add([]byte(seed), false, false)
		f.Add([]byte(seed), true, false)
		f.Add([]byte(seed), false, true)
	}
	f.Add([]byte("\x3B\x80\x01"), false, true)
	f.Add([]byte("\x3B\x00\x00"), false, true)
	f.Fuzz(func(t *testing.T, b []byte, inverse, anyTCK bool) {
		played := chars(b)
		for i := range played {
			if inverse {
				played[i] = Char{turned(b[i]), true} // the parity check is the wrong way round
			}
		}
		got, err := tapeLink(&tape{card: played}).receiveATR(t.Context(), 0, anyTCK)
		if err != nil {
			if !errors.Is(err, drivers.ErrMute) && !errors.Is(err, drivers.ErrProtocol) {
				t.Fatalf("%X: %v", b, err)
			}
			if a, parseErr := apdu.ParseATR(b); parseErr == nil && a.Inverse == inverse {
				t.Errorf("%X is an answer to reset and refused: %v", b, err)
			}
			return
		}
		body, tck := atrLength(got)
		if !bytes.Equal(got, b) || len(got) != body+tck && !anyTCK || len(got) < body || len(got) > body+1 || len(got) > apdu.MaxATR {
			t.Errorf("%X is taken for %X", b, got)
		}
		if _, err := parseATR(got, anyTCK); err != nil && !errors.Is(err, apdu.ErrMalformed) {
			t.Errorf("%X: %v", got, err)
		}
	})
}

// FuzzT0 plays arbitrary characters to a command. The driver sends no more than
// it was given, in order, and what it answers ends in a status word.
func FuzzT0(f *testing.F) {
	f.Add([]byte{0x00, 0xA4, 4, 0, 2, 1, 2}, []byte{0xA4, 0x90, 0x00}, []byte{}, byte(255))
	f.Add([]byte{0x00, 0xB0, 0, 0, 3}, []byte{0x60, 0xB0, 1, 2, 3, 0x90, 0x00}, []byte{}, byte(255))
	f.Add([]byte{0x00, 0xB0, 0, 0, 2}, []byte{0x4F, 1, 0x4F, 2, 0x61, 0x05}, []byte{}, byte(2))
	f.Add([]byte{0x00, 0xB0, 0, 0, 0, 3, 0xE8}, []byte{0x6C, 2}, []byte{0xB0, 1, 2, 0x90, 0}, byte(255))
	f.Add([]byte{0x00, 0xCB, 0, 0, 0, 0, 1, 5, 1, 0}, []byte{0xCB, 0x61, 2}, []byte{0xC0, 1, 2, 0x90, 0}, byte(255))
	f.Add(append([]byte{0x00, 0xDB, 0, 0, 0, 1, 0}, make([]byte, 256)...), []byte{0xC2, 0x90, 0}, []byte{0xC2, 0x61, 2}, byte(255))
	f.Fuzz(func(t *testing.T, command, card, more []byte, bad byte) {
		u := newTape(card, more)
		if int(bad) < len(card) {
			u.later[0][bad].Bad = true
		}
		exchange := &t0{link: tapeLink(u), maxNulls: 10}
		got, mayRun, err := exchange.transmit(t.Context(), command)
		if err == nil {
			if n := len(got); n < 2 || n > apdu.MaxResponse || got[n-2] == nullByte {
				t.Errorf("%X: answer %X", command, got)
			}
			if sw1 := got[len(got)-2] & sw1Mask; sw1 != 0x60 && sw1 != 0x90 {
				t.Errorf("%X: answer %X ends in no status word", command, got)
			}
		}
		if err != nil && !mayRun && len(u.sent) >= 5 && len(command) < 256 {
			t.Errorf("%X: sent %X, and the error says that it cannot run: %v", command, u.sent, err)
		}
		cmd, parseErr := apdu.Parse(command)
		if parseErr != nil || cmd.Extended {
			return
		}
		want := append(append(bytes.Clone(command[:4]), 0), cmd.Data...)
		if len(command) > 4 {
			want[4] = command[4]
		}
		if !bytes.HasPrefix(want, u.sent) {
			t.Errorf("%X: sent %X", command, u.sent)
		}
	})
}

// FuzzMarks: what a tty delivers in any pieces decodes to the same characters.
func FuzzMarks(f *testing.F) {
	f.Add([]byte{1, 0xFF, 0xFF, 2, 0xFF, 0, 3, 0xFF, 0, 0xFF}, byte(3))
	f.Fuzz(func(t *testing.T, raw []byte, cut byte) {
		var whole, parts marks
		want := whole.decode(nil, raw)
		n := min(int(cut), len(raw))
		got := parts.decode(parts.decode(nil, raw[:n]), raw[n:])
		if len(got) != len(want) || whole != parts {
			t.Fatalf("%X cut at %d: %v, want %v", raw, n, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%X cut at %d: %v, want %v", raw, n, got, want)
			}
		}
	})
}
