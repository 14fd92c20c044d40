package t1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// scriptLink is a link whose chip says what a script tells: "> hex" is a block
// that the host must send, "< hex" one that it receives; "timeout", "framing"
// and "refused" are what happens instead. Blocks are written without NAD and
// checksum.
type scriptLink struct {
	t      *testing.T
	d      Dialect
	script []string
	raw    []byte
	waited []time.Duration
}

func (l *scriptLink) next() string {
	if len(l.script) == 0 {
		l.t.Fatal("the script is at its end")
	}
	s := l.script[0]
	l.script = l.script[1:]
	return s
}

func (l *scriptLink) Send(ctx context.Context, block []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := l.next()
	if s == "refused" {
		return ErrRefused
	}
	got := fmt.Sprintf("> %X", slices.Concat(block[1:2], block[3:len(block)-1]))
	if got != s {
		l.t.Errorf("the host sends %q, the script has %q", got, s)
	}
	return nil
}

func (l *scriptLink) Receive(ctx context.Context, w Wait) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.waited = append(l.waited, w.Limit)
	switch s := l.next(); s {
	case "timeout":
		return nil, ErrTimeout
	case "framing":
		return nil, ErrFraming
	default:
		if s[:2] != "< " {
			l.t.Fatalf("the host receives, the script has %q", s)
		}
		b := unhex(l.t, s[2:])
		l.raw = l.d.append(l.raw[:0], l.d.FromChip, Block{b[0], b[1:]})
		return l.raw, nil
	}
}

// TestExchange goes through the rules of ISO/IEC 7816-3, 11.6, one at a time.
// The command is 00 84 00 00 08 in blocks of 3 or of 5 bytes.
func TestExchange(t *testing.T) {
	const resynch, resynched = "> C0", "< E0"
	for _, tt := range []struct {
		name      string
		ifsc      int
		selfReset time.Duration
		script    []string
		want      string // answer
		wantErr   error
		unknown   bool
	}{
		{"one block each way", 5, 0, []string{"> 000084000008", "< 00019000"}, "019000", nil, false},
		{"command in two blocks", 3, 0, []string{"> 20008400", "< 90", "> 400008", "< 009000"}, "9000", nil, false},
		{"answer in three blocks", 5, 0, []string{"> 000084000008", "< 2001", "> 90", "< 6002", "> 80", "< 009000"}, "01029000", nil, false},
		{"more time", 5, 0, []string{"> 000084000008", "< C303", "> E303", "< C301", "> E301", "< 009000"}, "9000", nil, false},
		{"the chip changes its IFSC", 3, 0, []string{"> 20008400", "< C101", "> E101", "< 90", "> 6000", "< 80", "> 0008", "< 009000"}, "9000", nil, false},
		{"command lost, the chip says so", 5, 0, []string{"> 000084000008", "< 81", "> 000084000008", "< 009000"}, "9000", nil, false},
		{"answer damaged", 5, 0, []string{"> 000084000008", "framing", "> 82", "< 009000"}, "9000", nil, false},
		{"silence, the chip has the command", 5, time.Millisecond, []string{"> 000084000008", "timeout", "> 82", "< 009000"}, "9000", nil, false},
		{"silence, a card that cannot restart has not", 5, 0, []string{"> 000084000008", "timeout", "> 82", "< 80", "> 000084000008", "< 009000"}, "9000", nil, false},
		{"silence, a chip that can restart says R(0)", 5, time.Millisecond, []string{"> 000084000008", "timeout", "> 82", "< 80", resynch, resynched}, "", drivers.ErrProtocol, true},
		{"request for time damaged", 5, 0, []string{"> 000084000008", "< C301", "> E301", "framing", "> 82", "< C301", "> E301", "< 009000"}, "9000", nil, false},
		{"grant lost", 5, 0, []string{"> 000084000008", "< C301", "> E301", "< 91", "> 80", "< C301", "> E301", "< 009000"}, "9000", nil, false},
		{"the chip asks for the command after it asked for time", 5, 0, []string{"> 000084000008", "< C301", "> E301", "< 80", resynch, resynched}, "", drivers.ErrProtocol, true},
		{"wrong number", 5, 0, []string{"> 000084000008", "< 409000", "> 82", "< 009000"}, "9000", nil, false},
		{"receipt damaged", 3, 0, []string{"> 20008400", "framing", "> 82", "< 90", "> 400008", "< 009000"}, "9000", nil, false},
		{"third attempt", 3, 0, []string{"> 20008400", "timeout", "> 82", "framing", "> 82", "< 80", resynch, resynched}, "", drivers.ErrProtocol, false},
		{"the chip aborts", 5, 0, []string{"> 000084000008", "< C2", "> E2", resynch, resynched}, "", drivers.ErrProtocol, true},
		{"the chip aborts a chain", 3, 0, []string{"> 20008400", "< C2", "> E2", resynch, resynched}, "", drivers.ErrProtocol, false},
		{"mute", 5, 0, []string{"> 000084000008", "timeout", "> 82", "timeout", "> 82", "timeout", resynch, "timeout", resynch, "timeout", resynch, "timeout"}, "", drivers.ErrMute, true},
		{"refused for ever", 5, 0, []string{"refused", "refused", "refused", resynch, resynched}, "", drivers.ErrRemoved, false},
		{"refused in a chain that restarts", 3, time.Millisecond, []string{"> 20008400", "< 90", "refused", "> 400008", "< 80", resynch, resynched}, "", drivers.ErrProtocol, true},
		{"an answer of one byte", 5, 0, []string{"> 000084000008", "< 0090", resynch, resynched}, "", drivers.ErrProtocol, true},
		{"an empty block with more to come", 5, 0, []string{"> 000084000008", "< 20", "> 82", "< 009000"}, "9000", nil, false},
		{"RESYNCH is the host's", 5, 0, []string{"> 000084000008", "< C0", "> 82", "< 009000"}, "9000", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			link := &scriptLink{t: t, d: ISO7816(false), script: tt.script}
			e := New(link, Config{Dialect: link.d, IFSC: tt.ifsc, SelfReset: tt.selfReset, Refused: time.Nanosecond, RefusedPause: time.Nanosecond})
			answer, err := e.Transmit(t.Context(), unhex(t, "0084000008"))
			if !bytes.Equal(answer, unhex(t, tt.want)) || !errors.Is(err, tt.wantErr) || (err == nil) != (tt.wantErr == nil) {
				t.Errorf("got %X, %v; want %s, %v", answer, err, tt.want, tt.wantErr)
			}
			if errors.Is(err, drivers.ErrOutcomeUnknown) != tt.unknown {
				t.Errorf("%v: that the outcome is unknown should be %v", err, tt.unknown)
			}
			if tt.wantErr != drivers.ErrRemoved && len(link.script) > 0 {
				t.Errorf("the script goes on with %q", link.script)
			}
		})
	}
}

// TestGrantedTime: n times BWT, for the next block alone.
func TestGrantedTime(t *testing.T) {
	link := &scriptLink{t: t, d: ISO7816(false), script: []string{"> 000084000008", "< C303", "> E303", "< C102", "> E102", "< 009000"}}
	e := New(link, Config{Dialect: link.d, BWT: time.Second})
	if _, err := e.Transmit(t.Context(), unhex(t, "0084000008")); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{time.Second, 3 * time.Second, time.Second}; !slices.Equal(link.waited, want) {
		t.Errorf("waited %v, want %v", link.waited, want)
	}
}

// endless is a chip that gives the same block for ever.
type endless struct{ raw []byte }

func (l endless) Send(context.Context, []byte) error            { return nil }
func (l endless) Receive(context.Context, Wait) ([]byte, error) { return l.raw, nil }

// TestBounds: no chip can keep the engine busy for ever or make it grow.
func TestBounds(t *testing.T) {
	d := ISO7816(false)
	for _, b := range []Block{
		sRequest(SWTX, []byte{1}), sRequest(SIFS, []byte{32}), sRequest(SAbort, nil), sRequest(0x1F, nil),
		rBlock(0, 0), rBlock(1, 0), iBlock(0, true, nil), iBlock(1, false, nil), sResponse(SResynch, nil),
	} {
		e := New(endless{d.append(nil, d.FromChip, b)}, Config{Dialect: d, IFSC: 3})
		if _, err := e.Transmit(t.Context(), unhex(t, "0084000008")); err == nil {
			t.Errorf("%v for ever: an answer", b)
		}
	}
}

// chatter alternates the numbers of an endless answer.
type chatter struct {
	d Dialect
	n byte
}

func (c *chatter) Send(_ context.Context, b []byte) error { return nil }
func (c *chatter) Receive(context.Context, Wait) ([]byte, error) {
	raw := c.d.append(nil, c.d.FromChip, iBlock(c.n, true, make([]byte, 254)))
	c.n ^= 1
	return raw, nil
}

func TestAnswerTooLong(t *testing.T) {
	d := ISO7816(false)
	_, err := New(&chatter{d: d}, Config{Dialect: d}).Transmit(t.Context(), unhex(t, "0084000008"))
	if !errors.Is(err, drivers.ErrProtocol) || !errors.Is(err, drivers.ErrOutcomeUnknown) {
		t.Errorf("an endless answer: %v", err)
	}
}

// TestCancelled: a command that was left is followed by RESYNCH.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	link := &cancelling{scriptLink{t: t, d: ISO7816(false), script: []string{"> 000084000008", "> C0", "< E0", "> 000084000008", "< 009000"}}, cancel}
	e := New(link, Config{Dialect: link.d})
	if _, err := e.Transmit(ctx, unhex(t, "0084000008")); !errors.Is(err, context.Canceled) || !errors.Is(err, drivers.ErrOutcomeUnknown) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := e.Transmit(ctx, unhex(t, "0084000008")); !errors.Is(err, context.Canceled) || errors.Is(err, drivers.ErrOutcomeUnknown) {
		t.Errorf("with a context that is done: %v", err)
	}
	if got, err := e.Transmit(t.Context(), unhex(t, "0084000008")); err != nil || len(got) != 2 {
		t.Errorf("afterwards: %X, %v", got, err)
	}
}

// cancelling ends the context when it is first asked for a block.
type cancelling struct {
	scriptLink
	cancel func()
}

func (c *cancelling) Receive(ctx context.Context, w Wait) ([]byte, error) {
	if c.cancel != nil {
		c.cancel()
		c.cancel = nil
	}
	return c.scriptLink.Receive(ctx, w)
}

// fuzzLink plays bytes to the engine: each block is cut from them.
type fuzzLink struct {
	d    Dialect
	data []byte
}

func (l *fuzzLink) Send(ctx context.Context, _ []byte) error { return ctx.Err() }

func (l *fuzzLink) Receive(context.Context, Wait) ([]byte, error) {
	if len(l.data) < 2 {
		return nil, ErrTimeout
	}
	pcb, n := l.data[0], int(l.data[1])
	l.data = l.data[2:]
	if n == 0xFF {
		return nil, ErrFraming
	}
	n = min(n, len(l.data), l.d.MaxINF)
	raw := l.d.append(nil, l.d.FromChip, Block{pcb, l.data[:n]})
	l.data = l.data[n:]
	return raw, nil
}

// FuzzEngine: whatever a chip says, the engine comes to an end, and an answer
// is one that came in I-blocks.
func FuzzEngine(f *testing.F) {
	f.Add(uint8(0), []byte("\x00\x02\x90\x00"))
	f.Add(uint8(1), []byte("\x90\x00\xC3\x01\x03\x20\x01\x01\x40\x02\x90\x00"))
	f.Fuzz(func(t *testing.T, ifsc uint8, data []byte) {
		link := &fuzzLink{d: ISO7816(false), data: bytes.Clone(data)}
		e := New(link, Config{Dialect: link.d, IFSC: int(ifsc)%32 + 1, SelfReset: time.Millisecond})
		for range 3 {
			answer, err := e.Transmit(t.Context(), []byte{0x00, 0x84, 0x00, 0x00, 0x08})
			if (err == nil) == (len(answer) < 2) || len(answer) > len(data) {
				t.Fatalf("answer %X, %v", answer, err)
			}
		}
	})
}
