package cardsim

import (
	"bytes"
	"io"
	"math"

	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// Stream is a card at the far end of a serial port that is a stream of bytes
// without rate, parity or other lines, as that of a virtual machine. The
// contacts come in the stream; see [StreamContacts].
type Stream struct {
	*pump
	note func(text string)
	rest []byte // what may be the beginning of a frame
}

// frameStart begins what is not for the wire. One byte follows: V and v VCC on and
// off, R and r RST high and low, C and c the clock, or N and a text that ends
// with a newline.
var frameStart = []byte("\xF7\x1DTSES\x1D\xF7")

// Attach puts a card without power at the end of a stream. note gets the texts
// that [StreamContacts.Note] sends. Close ends the card and the stream.
func Attach(stream io.ReadWriteCloser, opts Options, note func(text string)) (*Stream, error) {
	slot, err := New(opts)
	if err != nil {
		return nil, err
	}
	s := &Stream{pump: newPump(slot, stream), note: note}
	s.look, s.strip = s.assume, s.obey
	s.wire.anyRate = true // a reset changes the card's before anybody looks again
	s.start()
	return s, nil
}

// Close ends the card.
func (s *Stream) Close() error { return s.stop() }

// assume: a stream has no rate, so it is always the right one. What the terminal
// sends takes the time that it has with it.
func (s *Stream) assume() { s.wire.mode.Rate = int(math.Round(1e9 / s.card.etu)) }

// obey takes frames out of what came.
func (s *Stream) obey(b []byte) (wire []byte) {
	s.rest = append(s.rest, b...)
	for {
		i := bytes.Index(s.rest, frameStart)
		if i < 0 {
			n := len(s.rest) - beginning(s.rest)
			wire = append(wire, s.rest[:n]...)
			s.rest = s.rest[n:]
			return wire
		}
		wire = append(wire, s.rest[:i]...)
		s.rest = s.rest[i:]
		n := s.frame(s.rest[len(frameStart):])
		if n == 0 {
			return wire // the rest of it is on its way
		}
		s.rest = s.rest[len(frameStart)+n:]
	}
}

// beginning is how many bytes at the end of b may begin a frame.
func beginning(b []byte) int {
	for n := min(len(b), len(frameStart)-1); n > 0; n-- {
		if bytes.HasSuffix(b, frameStart[:n]) {
			return n
		}
	}
	return 0
}

// frame obeys what stands behind the beginning of one and tells how long it is,
// 0 where it is not whole.
func (s *Stream) frame(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case 'V', 'v':
		_ = s.SetVCC(b[0] == 'V') // never fails
	case 'R', 'r':
		_ = s.SetRST(b[0] == 'R') // never fails
	case 'C':
		_ = s.Start() // never fails
	case 'c':
		_ = s.Stop() // never fails
	case 'N':
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return 0
		}
		s.note(string(b[1:end]))
		return end + 1
	}
	return 1
}

// StreamContacts are the contacts of a [Stream] at the terminal's end.
type StreamContacts struct {
	W io.Writer // the serial port
	iso7816.FixedClock
}

var (
	_ iso7816.Contacts = StreamContacts{}
	_ iso7816.Clock    = StreamContacts{}
)

func (c StreamContacts) send(what string) error {
	_, err := c.W.Write(append(bytes.Clone(frameStart), what...))
	return err
}

func (c StreamContacts) either(state bool, yes, no string) error {
	if state {
		return c.send(yes)
	}
	return c.send(no)
}

// Present implements [iso7816.Contacts].
func (c StreamContacts) Present() (bool, error) { return true, nil }

// SetVCC implements [iso7816.Contacts].
func (c StreamContacts) SetVCC(on bool) error { return c.either(on, "V", "v") }

// SetRST implements [iso7816.Contacts].
func (c StreamContacts) SetRST(high bool) error { return c.either(high, "R", "r") }

// Start implements [iso7816.Clock].
func (c StreamContacts) Start() error { return c.send("C") }

// Stop implements [iso7816.Clock].
func (c StreamContacts) Stop() error { return c.send("c") }

// Note sends a line of text to the one who has attached the card.
func (c StreamContacts) Note(text string) error { return c.send("N" + text + "\n") }

// String is "in the stream".
func (c StreamContacts) String() string { return "in the stream" }
