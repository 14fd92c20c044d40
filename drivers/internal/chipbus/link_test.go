package chipbus

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// tape is a bus whose chip says what is on the tape, and then nothing.
type tape struct {
	data  []byte
	reads int
}

func (b *tape) Write([]byte) error   { return nil }
func (b *tape) Limit() int           { return 0 }
func (b *tape) SetClock(int64) error { return nil }

func (b *tape) Read(p []byte) error {
	b.reads++
	clear(p)
	n := copy(p, b.data)
	b.data = b.data[n:]
	return nil
}

// TestFraming: where in the bytes a block may lie.
func TestFraming(t *testing.T) {
	const block = "12 90 00 01 02 6B B4" // its checksum is judged elsewhere
	d := t1.GlobalPlatform
	const sound = "12 00 00 02 90 00 11 8C"
	for name, tt := range map[string]struct {
		stale bool
		tape  string
		want  string // the block; none if empty
		err   error
	}{
		"at once":                  {false, block, block, nil},
		"after idle bytes":         {false, "00 FF 00 FF" + block, block, nil},
		"after idle accesses":      {false, "000000000000 FFFFFFFFFFFF 0000" + block, block, nil},
		"after what is no NAD":     {false, "01 F2 2F 10" + block, block, nil},
		"another NAD":              {false, "34" + block, "", t1.ErrFraming},
		"a length beyond the most": {false, "12 90 FF FF 00 00 00", "", t1.ErrFraming},
		"silence":                  {false, "", "", t1.ErrTimeout},

		"a stale byte":                   {true, "34" + sound, sound, nil},
		"a stale byte in each look":      {true, "34 0000000000 12 0000000000 55 FFFFFFFFFF 66" + sound, sound, nil},
		"a stale NAD":                    {true, "12" + sound, sound, nil},
		"a stale NAD, later":             {true, "12 000000" + sound, sound, nil},
		"a stale NAD before a long size": {true, "12 00 0F" + sound, sound, nil},
		"stale bytes and silence":        {true, "34 0000000000 12 0000000000 66", "", t1.ErrTimeout},
		"a block that is not sound":      {true, block, block, nil},
		"garbage behind the stale byte":  {true, "34 35 36 37 38 39", "", t1.ErrFraming},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := &tape{data: unhex(t, tt.tape)}
				l := newLink(bus, nil)
				l.dialect, l.timing, l.stale = d, DefaultTiming("gp", I2C), tt.stale
				got, err := l.Receive(t.Context(), t1.Wait{Limit: 100 * time.Millisecond})
				if !bytes.Equal(got, unhex(t, tt.want)) || !errors.Is(err, tt.err) {
					t.Errorf("got %.16X of %d bytes, %v; want %s, %v", got, len(got), err, tt.want, tt.err)
				}
			})
		})
	}
}

// FuzzReceive: whatever is on the wire, the search comes to an end and gives a
// block of the size that its LEN field tells, or an error that the engine knows.
func FuzzReceive(f *testing.F) {
	f.Add(uint8(0), unhex(f, "00 FF 12 90 00 01 02 6B B4"))
	f.Add(uint8(1), unhex(f, "A5 EF 02 11 22 33 44"))
	f.Add(uint8(2), unhex(f, "A5 00 FF 01 00"))
	f.Add(uint8(128), unhex(f, "12 12 00 00 02 90 00 11 8C"))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		d := []t1.Dialect{t1.GlobalPlatform, t1.UM11225, t1.NXPeSE, t1.Thales}[int(which)%4]
		bus := &tape{data: data}
		l := newLink(bus, nil)
		l.dialect, l.timing = d, Timing{Poll: time.Microsecond, MaxAccess: int(which) / 4 % 32}
		l.stale = which >= 128
		for range 3 {
			bus.reads = 0
			got, err := l.Receive(t.Context(), t1.Wait{Limit: 20 * time.Microsecond})
			if err == nil {
				if n, ok := d.Size(got); !ok || n != len(got) || n > d.Longest() || got[0] != d.FromChip {
					t.Fatalf("%s: %X is no block", d.Name, got)
				}
			} else if !errors.Is(err, t1.ErrTimeout) && !errors.Is(err, t1.ErrFraming) {
				t.Fatalf("%s: %v", d.Name, err)
			}
			if bus.reads > 3*d.Longest() {
				t.Fatalf("%s: %d accesses", d.Name, bus.reads)
			}
		}
	})
}

// TestPace: a steady chip is found at the first look, soon; one answer that
// takes long does not make the next ones late; a chip that becomes faster is
// noticed.
func TestPace(t *testing.T) {
	p := pace{}
	const poll = time.Millisecond
	exchange := func(needs time.Duration) (late time.Duration, looks int) {
		at, missed := p.first(1), time.Duration(0)
		for looks = 1; at < needs; looks++ {
			missed = at
			at += poll
		}
		p.learn(1, at, missed)
		return at - needs, looks
	}
	for range 10 {
		exchange(30 * time.Millisecond)
	}
	if late, looks := exchange(30 * time.Millisecond); late > 2*time.Millisecond || looks > 3 {
		t.Errorf("a steady chip: %v late with %d looks", late, looks)
	}
	exchange(300 * time.Millisecond)
	if late, _ := exchange(30 * time.Millisecond); late > 2*time.Millisecond {
		t.Errorf("after one long answer: %v late", late)
	}
	for range 40 {
		exchange(2 * time.Millisecond)
	}
	var sum time.Duration
	for range 100 {
		late, _ := exchange(2 * time.Millisecond)
		sum += late
	}
	if sum/100 > 500*time.Microsecond {
		t.Errorf("a chip that has become faster: %v late on average", sum/100)
	}
}
