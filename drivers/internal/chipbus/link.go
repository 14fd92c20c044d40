package chipbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// Bus is a chip's place on a bus. Each call is one access: address and stop, or
// chip select from low to high. A chip that does not acknowledge is an error
// that matches [t1.ErrRefused].
type Bus interface {
	Write(b []byte) error
	Read(b []byte) error

	// Limit is the most bytes that one access can have, 0 for any number.
	Limit() int
	// SetClock asks for a clock of at most hz from now on.
	SetClock(hz int64) error
}

// link carries blocks over a bus; it implements [t1.Link].
type link struct {
	bus     Bus
	dialect t1.Dialect
	timing  Timing
	ready   *ReadyLine
	pace    pace
	stale   bool // the first byte of a look may be what the chip's shift register held: SPI

	last  time.Time // end of the last access
	wrote bool      // it was a write
	heard time.Time // when the chip sent a byte that is not idle last
	quiet bool      // the last read had none
	buf   []byte
}

func newLink(bus Bus, ready *ReadyLine) *link {
	return &link{bus: bus, ready: ready, pace: pace{}}
}

// Send implements [t1.Link]. A block longer than an access may be takes
// several.
func (l *link) Send(ctx context.Context, block []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.wake(); err != nil {
		return err
	}
	for len(block) > 0 {
		n := l.most(len(block))
		l.guard(true)
		if err := l.access(l.bus.Write, block[:n]); err != nil {
			return err
		}
		l.wrote = true
		block = block[n:]
	}
	return nil
}

// wake touches a chip that has fallen asleep. It may refuse that.
func (l *link) wake() error {
	t := l.timing
	if t.Wake == 0 || t.Idle == 0 || time.Since(l.last) < t.Idle {
		return nil
	}
	var touch [1]byte
	err := l.access(l.bus.Read, touch[:])
	if err != nil && !errors.Is(err, t1.ErrRefused) {
		return err
	}
	time.Sleep(t.Wake)
	return nil
}

// most is how many of n bytes one access can have.
func (l *link) most(n int) int {
	for _, limit := range [2]int{l.timing.MaxAccess, l.bus.Limit()} {
		if limit > 0 {
			n = min(n, limit)
		}
	}
	return n
}

// guard waits until the next access is allowed, a write or a read, 65 s at most.
func (l *link) guard(writes bool) {
	if rest := time.Until(l.last.Add(l.timing.guard(l.wrote, writes))); rest > 0 {
		time.Sleep(rest)
	}
}

// access makes one access.
func (l *link) access(do func([]byte) error, b []byte) error {
	err := do(b)
	l.last, l.wrote = time.Now(), false
	return err
}

// read makes one access and notes when the chip sent something last in it.
func (l *link) read(b []byte) error {
	start := time.Now()
	err := l.access(l.bus.Read, b)
	if err == nil {
		l.note(start, b, 0)
	}
	return err
}

// note takes down when the chip sent something last in the access b that began
// at start, bytes before from aside.
func (l *link) note(start time.Time, b []byte, from int) {
	l.quiet = true
	for i := len(b) - 1; i >= from; i-- {
		if !l.idle(b[i]) {
			l.quiet = false
			l.heard = start.Add(l.last.Sub(start) * time.Duration(i+1) / time.Duration(len(b)))
			break
		}
	}
}

// Heard implements [t1.Listener].
func (l *link) Heard() time.Time { return l.heard }

// Receive implements [t1.Link].
func (l *link) Receive(ctx context.Context, w t1.Wait) ([]byte, error) {
	start := time.Now()
	l.guard(false)
	if err := sleep(ctx, time.Until(start.Add(l.firstLook(w)))); err != nil {
		return nil, err
	}
	var missed time.Duration
	for {
		if err := l.ready.wait(ctx, start.Add(w.Limit)); err != nil {
			return nil, err
		}
		at := time.Since(start)
		begin, err := l.look()
		if err != nil {
			return nil, err
		}
		if len(begin) > 0 {
			return l.found(ctx, begin, w.For, at, missed)
		}
		missed = at
		if time.Since(start)+l.timing.Poll > w.Limit {
			return nil, fmt.Errorf("%w of %v", t1.ErrTimeout, w.Limit)
		}
		if err := sleep(ctx, max(l.timing.Poll, l.timing.Guard, at/lateness)); err != nil {
			return nil, err
		}
	}
}

// lateness bounds how late an answer is found to a part of the time it took, and
// with it the looks at a chip that works for long: others may share the bus.
const lateness = 32

// found reads the block that begins with begin. What a chip says instead of an
// answer, such as that it needs more time, tells nothing about its pace.
func (l *link) found(ctx context.Context, begin []byte, why t1.Reason, at, missed time.Duration) ([]byte, error) {
	block, err := l.rest(ctx, begin)
	if err == nil && block[1]&0xE0 != 0xC0 {
		l.pace.learn(why, at, missed)
	}
	return block, err
}

// firstLook is when to look first. With a line that tells it there is nothing
// to guess.
func (l *link) firstLook(w t1.Wait) time.Duration {
	if l.ready != nil {
		return 0
	}
	return min(l.pace.first(w.For), w.Limit)
}

// look reads as many bytes as the shortest block has and returns them from the
// first one that is not idle on; none if the chip has nothing to say.
func (l *link) look() ([]byte, error) {
	b := l.room(l.most(l.dialect.Shortest()))
	start := time.Now()
	err := l.access(l.bus.Read, b)
	if errors.Is(err, t1.ErrRefused) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	from := 0
	if l.stale && l.leftOver(b) {
		from = 1
	}
	l.note(start, b, from)
	for i := from; i < len(b); i++ {
		if !l.idle(b[i]) {
			return b[i:], nil
		}
	}
	return nil, nil
}

// leftOver tells whether the first byte of a look is none of a block. The
// makers' hosts do not look at it: a chip may leave there what its shift
// register held.
func (l *link) leftOver(b []byte) bool {
	if b[0] != l.dialect.FromChip {
		return true
	}
	if len(b) < l.dialect.Shortest() {
		return false
	}
	for _, v := range b[1:] {
		if v != 0x00 && v != 0xFF {
			return false
		}
	}
	return true
}

// idle tells whether b is what a chip with nothing to say sends: 00 or FF, and
// with GPC_SPE_172 all that cannot be a NAD because a half of it is 0 or F.
func (l *link) idle(b byte) bool {
	if b == 0x00 || b == 0xFF {
		return true
	}
	high, low := b>>4, b&0x0F
	return l.dialect.Len == t1.Len16 && (high == 0 || high == 0xF || low == 0 || low == 0xF)
}

// rest reads on until the block that begins with begin is whole. Where its first
// byte may be a left-over one, the block may begin at a later NAD.
func (l *link) rest(ctx context.Context, begin []byte) ([]byte, error) {
	b := append(l.room(l.dialect.Longest() + len(begin))[:0], begin...)
	starts := len(begin)
	if !l.stale {
		starts = 1
	}
	var unsound []byte
	why := fmt.Errorf("%w: it begins with %02X", t1.ErrFraming, b[0])
	for at := range starts {
		if b[at] != l.dialect.FromChip {
			continue
		}
		block, err := l.block(ctx, &b, at)
		switch {
		case err == nil && (!l.stale || l.sound(block)):
			return block, nil
		case err == nil && unsound == nil:
			unsound = block
		case errors.Is(err, t1.ErrFraming) && !errors.Is(err, t1.ErrRefused):
			why = err
		case err != nil:
			return nil, err
		}
	}
	if unsound != nil {
		return unsound, nil
	}
	return nil, l.garbage(ctx, why)
}

// block is the one at b[at:], read on as far as its LEN field says.
func (l *link) block(ctx context.Context, b *[]byte, at int) ([]byte, error) {
	for {
		size, ok := l.dialect.Size((*b)[at:])
		if have := len(*b) - at; !ok {
			size = max(l.dialect.Shortest(), have+1)
		}
		switch {
		case size > l.dialect.Longest():
			return nil, fmt.Errorf("%w: it tells a size of %d bytes", t1.ErrFraming, size)
		case ok && len(*b)-at >= size:
			return (*b)[at : at+size], nil
		}
		if err := l.readOn(ctx, b, at+size); err != nil {
			return nil, err
		}
	}
}

// sound tells whether the checksum of a block is right.
func (l *link) sound(block []byte) bool {
	_, err := l.dialect.Parse(block)
	return err == nil
}

// readOn appends one access's bytes to b, up to size in all. The chip has begun
// to speak; an access that it refuses is tried again a few times.
func (l *link) readOn(ctx context.Context, b *[]byte, size int) error {
	n := l.most(size - len(*b))
	for try := 0; ; try++ {
		l.guard(false)
		err := l.read((*b)[len(*b) : len(*b)+n])
		switch {
		case err == nil:
			*b = (*b)[:len(*b)+n]
			return nil
		case !errors.Is(err, t1.ErrRefused):
			return err
		case try == 3:
			return fmt.Errorf("%w: the chip stops in the middle: %w", t1.ErrFraming, err)
		}
		if err := sleep(ctx, l.timing.Poll); err != nil {
			return err
		}
	}
}

// garbage reads until the chip is silent, so that what follows is in step, and
// returns err.
func (l *link) garbage(ctx context.Context, err error) error {
	for left := l.dialect.Longest(); left > 0 && !l.quiet; left -= l.dialect.Shortest() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.guard(false)
		b, lookErr := l.look()
		if lookErr != nil {
			return lookErr
		}
		if len(b) == 0 {
			break
		}
	}
	return err
}

// room is n bytes of the link's buffer, which the next call uses again.
func (l *link) room(n int) []byte {
	if cap(l.buf) < n {
		l.buf = make([]byte, max(n, l.dialect.Longest()))
	}
	return l.buf[:n]
}

// sleep ends early when ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
