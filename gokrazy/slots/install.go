package slots

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"

	"github.com/cloud-of-se/tses/update"
)

// ErrRoom says that a slot is too small for an update.
var ErrRoom = errors.New("the slot is too small")

// ErrReadBack says that a slot does not hold what was written to it.
var ErrReadBack = errors.New("the slot does not hold what was written")

// Step is what Install is doing.
type Step string

// The steps of an installation.
const (
	Writing  Step = "writing"
	Checking Step = "checking"
)

// bootAlign is what the place of a staged boot partition is a multiple of.
const bootAlign = 1 << 20

// bootOffset is where in a slot a boot partition waits for the update to be
// found good.
func bootOffset(h *update.Header) int64 {
	return (h.Root.Size + bootAlign - 1) / bootAlign * bootAlign
}

// Fits tells whether an update has room in a slot, with [ErrRoom] if not.
func Fits(p *Partition, h *update.Header) error {
	need := h.Root.Size
	if h.Boot != nil {
		need = bootOffset(h) + h.Boot.Size
	}
	if need > p.room() {
		return fmt.Errorf("%w: %d bytes where there is room for %d", ErrRoom, need, p.room())
	}
	return nil
}

// Install writes the parts of an update to a slot that does not run and is not
// selected, reads it back, and arms it: the next start of the box tries it. An
// error leaves it unarmed. progress is told how much of the update's bytes are
// done in a step.
func Install(ctx context.Context, p *Partition, h *update.Header, head []byte, body io.Reader, progress func(Step, int64)) error {
	if err := Fits(p, h); err != nil {
		return err
	}
	if err := (*Record)(nil).write(p); err != nil {
		return err
	}
	written := &counted{ctx: ctx, told: func(n int64) { progress(Writing, n) }, max: p.room()}
	written.w = p
	if err := update.CopyPart(written, body, h.Root); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if h.Boot != nil {
		written.at = bootOffset(h)
		if err := update.CopyPart(written, body, *h.Boot); err != nil {
			return fmt.Errorf("boot partition: %w", err)
		}
	}
	if err := p.Sync(); err != nil {
		return fmt.Errorf("write the slot: %w", err)
	}
	if err := forget(p.Medium); err != nil {
		return fmt.Errorf("read the slot back: %w", err)
	}
	if err := check(ctx, p, h, func(n int64) { progress(Checking, n) }); err != nil {
		return err
	}
	return (&Record{State: Armed, Head: head}).write(p)
}

// check compares a slot with what the owner has signed.
func check(ctx context.Context, p *Partition, h *update.Header, told func(int64)) error {
	if err := Fits(p, h); err != nil {
		return err
	}
	read := &counted{ctx: ctx, told: told}
	if err := update.CopyPart(read, io.NewSectionReader(p, 0, h.Root.Size), h.Root); err != nil {
		return readBack(err)
	}
	if h.Boot != nil {
		if err := checkStaged(read, p, h); err != nil {
			return err
		}
		if _, err := openStaged(p, h, A); err != nil {
			return err
		}
	}
	return nil
}

// checkStaged compares the boot partition that waits in a slot with what the
// owner has signed, and lets read see it.
func checkStaged(read io.Writer, p *Partition, h *update.Header) error {
	return readBack(update.CopyPart(read, io.NewSectionReader(p, bootOffset(h), h.Boot.Size), *h.Boot))
}

func readBack(err error) error {
	if errors.Is(err, update.ErrDigest) {
		return fmt.Errorf("%w: the card wears out, or was written by another; try again, then replace it", ErrReadBack)
	}
	return err
}

// counted passes writes on, if it has somebody to pass them to, until the
// context is done.
type counted struct {
	ctx     context.Context
	w       io.WriterAt
	at, max int64
	done    int64
	told    func(int64)
}

func (c *counted) Write(b []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	if c.w != nil {
		if c.at+int64(len(b)) > c.max {
			return 0, ErrRoom
		}
		n, err := c.w.WriteAt(b, c.at)
		c.at += int64(n)
		if err != nil {
			return n, err
		}
	}
	c.done += int64(len(b))
	c.told(c.done)
	return len(b), nil
}

// ErrNotDue says that a slot has no update to try.
var ErrNotDue = errors.New("no update waits to be tried")

// Consume takes the one start that an armed slot has. It returns the update's
// header when the slot is to be started, which it must be at once; every error
// says that it must not be. One that the owner has not signed, that is for
// another box than the one that runs, or older than that without the owner's
// word for it, or that has changed since it was written, is not tried. Nor is one whose record stays armed on the medium,
// whatever was written there: it would be tried for ever.
func Consume(ctx context.Context, p *Partition, owner *ecdsa.PublicKey, runs update.Running) (*update.Header, error) {
	r, err := ReadRecord(p)
	if errors.Is(err, ErrNoRecord) || err == nil && r.State != Armed {
		return nil, ErrNotDue
	}
	if err != nil {
		return nil, err
	}
	// Whatever is wrong with it, it is looked at once.
	r.State = Tried
	if err := r.write(p); err != nil {
		return nil, err
	}
	if err := r.stands(p); err != nil {
		return nil, err
	}
	h, err := r.Header(owner)
	if err != nil {
		return nil, err
	}
	// The TSES has looked too; but what it looks at is not what is started, and
	// somebody may have broken into it.
	if err := h.CheckFor(runs); err != nil {
		return nil, err
	}
	return h, check(ctx, p, h, func(int64) {})
}

// Header is the header in a record, if the owner has signed it.
func (r *Record) Header(owner *ecdsa.PublicKey) (*update.Header, error) {
	h, raw, err := update.ReadHead(bytes.NewReader(r.Head), owner)
	if err == nil && len(raw) != len(r.Head) {
		err = update.ErrFormat
	}
	return h, err
}

// forget makes the next read come from the medium, where that can be had.
func forget(m Medium) error {
	if f, ok := m.(interface{ Fd() uintptr }); ok {
		return dropCache(f.Fd())
	}
	return nil
}
