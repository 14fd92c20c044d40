package pcscdoor

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/pcsclite"
)

// timing is how often the door does things and how long it waits. RACS does not
// tell by itself when an SE comes or a network dies.
type timing struct {
	poll      time.Duration // between two questions which SEs there are
	keepAlive time.Duration // between two looks at the session of an SE
	bound     time.Duration // for an answer to either
	keepIdle  time.Duration // of a session whose SE is off
	retry     time.Duration // the longest time to the next try
}

// inTheField survives a network that stalls for twenty seconds.
var inTheField = timing{
	poll: 2 * time.Second, keepAlive: 10 * time.Second, bound: 22 * time.Second, keepIdle: 30 * time.Second, retry: 10 * time.Second,
}

// follow keeps the readers as the TSES's SEs are until ctx is done.
func (d *Door) follow(ctx context.Context) {
	var retry backoff
	next := d.poll
	for sleep(ctx, next) {
		err := d.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if retry.tried() {
				d.log.Info("the TSES is reached again")
			}
			retry.reset()
			next = d.poll
		} else {
			if !retry.tried() { // once, however long it lasts
				d.log.Warn("the TSES cannot be reached; trying again until it can", "error", err)
			}
			next = retry.next(d.timing.retry)
			d.emptyIdle()
		}
		if time.Since(d.pinged) >= d.keepAlive {
			d.pingAll(ctx)
			d.pinged = time.Now()
		}
	}
}

// sleep waits and tells whether ctx is still good.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ask asks once. A session that has ended is made anew at once: a TSES that
// was restarted meanwhile has not been missed by programs that did nothing.
// What ended it may have ended the sessions of the SEs, so they are looked at.
func (d *Door) ask(ctx context.Context) error {
	asked := time.Now()
	seids, err := d.list(ctx, d.bound)
	if err != nil {
		d.pinged = time.Time{}
		if errors.Is(err, context.DeadlineExceeded) && time.Since(asked) >= d.bound {
			d.giveUp(asked)
		}
		if seids, err = d.list(ctx, d.bound); err != nil {
			return err
		}
	}
	if err := d.reconcile(ctx, seids); err != nil {
		d.log.Warn("an SE cannot be shown", "error", err)
	}
	return nil
}

// giveUp ends the calls that have had no answer since before the TSES was asked,
// which has not answered either: the network to it is another one now, or none. It
// is not for an SE that takes its time, of which the TSES says nothing.
func (d *Door) giveUp(asked time.Time) {
	for seid, s := range d.shown {
		if s.card.giveUp(asked) {
			d.log.Warn("a command is given up: the TSES does not answer", "seid", seid)
		}
	}
}

func (d *Door) list(ctx context.Context, bound time.Duration) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if d.client == nil {
		client, err := d.opts.Dial(ctx)
		if err != nil {
			return nil, err
		}
		d.client = client
	}
	seids, err := d.client.List(ctx)
	if err != nil {
		d.lose()
	}
	return seids, err
}

// reconcile makes the readers what the list says: a card comes into the reader
// of each SE, and goes where the SE is not listed any more.
func (d *Door) reconcile(ctx context.Context, seids []string) error {
	for seid, s := range d.shown {
		if !slices.Contains(seids, seid) && s.reader.Present() {
			d.log.Info("an SE has gone", "seid", seid, "reader", s.reader.Name())
			s.reader.Remove()
			s.card.close()
			s.atr = nil
			s.retry.reset()
		}
	}
	var left []string
	var inserts sync.WaitGroup
	defer inserts.Wait()
	for _, seid := range seids {
		if len(d.opts.SEIDs) > 0 && !slices.Contains(d.opts.SEIDs, seid) {
			continue
		}
		s, err := d.reader(seid, seids)
		if errors.Is(err, pcsclite.ErrFull) {
			left = append(left, seid)
			continue
		}
		if err != nil {
			return err
		}
		if !s.reader.Present() && time.Now().After(s.next) {
			inserts.Go(func() { d.insert(ctx, seid, s) })
		}
	}
	d.tellLeft(left)
	return nil
}

// reader finds or makes the reader of an SE. Where there is no room, an empty
// reader whose SE is gone has to go.
func (d *Door) reader(seid string, listed []string) (*shown, error) {
	if s, ok := d.shown[seid]; ok {
		return s, nil
	}
	c := &card{seid: seid, dial: d.opts.Dial, log: d.log, timing: d.timing}
	r, err := d.server.Plug(d.opts.Name(seid), c)
	if errors.Is(err, pcsclite.ErrFull) {
		for old, s := range d.shown {
			if !slices.Contains(listed, old) {
				s.reader.Unplug()
				delete(d.shown, old)
				r, err = d.server.Plug(d.opts.Name(seid), c)
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	d.shown[seid] = &shown{reader: r, card: c}
	return d.shown[seid], nil
}

// insert puts the SE's card into its reader, if it can be powered on. Who has
// it powered on already need not be us: then it is there, with the ATR that it
// had before.
func (d *Door) insert(ctx context.Context, seid string, s *shown) {
	ctx, cancel := context.WithTimeout(ctx, d.bound)
	defer cancel()
	atr, err := s.card.PowerOn(ctx)
	switch {
	case err == nil:
		s.atr = atr
		err = s.card.PowerOff(ctx)
	case errors.Is(err, pcsclite.ESharingViolation):
		d.log.Info("an SE is in use", "seid", seid, "error", err)
		err = nil
	}
	if err == nil {
		err = s.reader.Insert(s.atr)
	}
	if err != nil {
		if !s.retry.tried() {
			d.log.Warn("an SE cannot be powered on; trying again until it can", "seid", seid, "error", err)
		}
		s.next = time.Now().Add(s.retry.next(d.timing.retry))
		return
	}
	s.retry.reset()
}

// tellLeft says once which SEs have no reader and how to choose.
func (d *Door) tellLeft(left []string) {
	if text := words(left); len(left) > 0 && text != d.told {
		d.told = text
		d.log.Warn("PC/SC has room for 16 readers; name the SEs that you want on the command line to choose: racs pcsc SEID...", "without a reader", text)
	}
}

// emptyIdle takes the cards out of the readers that no program uses. Those in
// use have sessions of their own, which tell.
func (d *Door) emptyIdle() {
	for _, s := range d.shown {
		if s.card.idle() {
			s.reader.Remove()
		}
	}
}

// idle tells that the SE is off.
func (c *card) idle() bool {
	if !c.mu.TryLock() {
		return false
	}
	defer c.mu.Unlock()
	return !c.on
}

// pingAll looks at all sessions at once and takes out the cards whose session
// is lost.
func (d *Door) pingAll(ctx context.Context) {
	var wg sync.WaitGroup
	for seid, s := range d.shown {
		wg.Go(func() {
			if err := s.card.ping(ctx); err != nil && ctx.Err() == nil {
				d.log.Warn("the session of an SE is lost", "seid", seid, "error", err)
				s.reader.Remove()
			}
		})
	}
	wg.Wait()
}

// backoff is how long to wait before the next try, longer each time.
type backoff struct{ last time.Duration }

const firstRetry = 200 * time.Millisecond

func (b *backoff) reset() { b.last = 0 }

// tried tells whether there was a try since the last reset.
func (b *backoff) tried() bool { return b.last > 0 }

// next is between half of a time that doubles and the whole of it: many users
// of one TSES do not come back at once.
func (b *backoff) next(longest time.Duration) time.Duration {
	b.last = min(max(2*b.last, firstRetry), longest)
	return b.last/2 + rand.N(b.last/2)
}
