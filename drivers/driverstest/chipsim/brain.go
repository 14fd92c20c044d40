package chipsim

import (
	"context"
	"time"
)

// brain runs one command at a time in a goroutine that the chip owns.
type brain struct {
	ctx    context.Context // of the chip's life
	cancel context.CancelFunc
	stop   context.CancelFunc // of the command that runs
	idle   chan struct{}      // closed when none runs
	run    int                // number of the command
	busy   bool               // the answer of command run is awaited
	stale  bool               // the brain has to be reset first
	cutOff bool               // the chip will faint before it answers
	silent bool               // it does not ask for time
	timer  *time.Timer        // until more time has to be asked for
}

// abandon forgets the command that runs.
func (b *brain) abandon() {
	b.run++
	b.busy, b.cutOff = false, false
	if b.stop != nil {
		b.stop()
	}
	if b.timer != nil {
		b.timer.Stop()
	}
}

// execute starts a command.
func (c *Chip) execute(command []byte) {
	f := c.opts.Faults
	if f.happens(c, &f.chances().FaintBefore) {
		c.faint()
		return
	}
	b := &c.brain
	b.abandon()
	b.busy = true
	c.note("executes", command)
	b.cutOff = f.happens(c, &f.chances().FaintAfter)
	ctx, stop := context.WithCancel(b.ctx)
	before, done := b.idle, make(chan struct{})
	b.stop, b.idle = stop, done
	b.silent = c.opts.Family.noExtend || f.happens(c, &f.chances().Late)
	run, stale := b.run, b.stale
	b.stale = false
	extra := f.stretch(c)
	if c.opts.Think != nil {
		extra += c.opts.Think(command)
	}
	c.askForTime(run)
	if f.happens(c, &f.chances().Extend) && !b.silent {
		c.sayExtend()
	}
	go func() {
		defer close(done)
		defer stop()
		<-before
		answer, err := c.think(ctx, command, stale, extra)
		c.answered(run, answer, err)
	}()
}

// think asks the brain.
func (c *Chip) think(ctx context.Context, command []byte, stale bool, extra time.Duration) ([]byte, error) {
	if stale {
		if _, err := c.opts.Brain.PowerOn(ctx); err != nil {
			return nil, err
		}
	}
	answer, err := c.opts.Brain.Transmit(ctx, command)
	if err != nil || extra == 0 {
		return answer, err
	}
	timer := time.NewTimer(extra)
	defer timer.Stop()
	select {
	case <-timer.C:
		return answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answered takes the brain's answer to command number run.
func (c *Chip) answered(run int, answer []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &c.brain
	if run != b.run || c.closed {
		return
	}
	b.timer.Stop()
	b.busy = false
	switch {
	case b.cutOff || err != nil:
		c.faint()
	case c.protocol.extending:
		c.protocol.ready = answer
	default:
		c.reply(answer)
	}
}

// askForTime makes the chip ask for more time before its BWT is over.
func (c *Chip) askForTime(run int) {
	if c.brain.timer != nil {
		c.brain.timer.Stop()
	}
	c.brain.timer = time.AfterFunc(c.opts.BWT*3/4, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if run != c.brain.run || !c.brain.busy || c.closed || c.brain.silent || c.protocol.extending {
			return
		}
		c.sayExtend()
	})
}

// sayExtend sends S(WTX request) for one BWT more.
func (c *Chip) sayExtend() {
	c.protocol.extending = true
	c.say(block{0xC3, []byte{1}})
}

// granted goes on after S(WTX response).
func (c *Chip) granted() {
	p := &c.protocol
	if !p.extending {
		c.sayR(errOther)
		return
	}
	p.extending = false
	if p.ready != nil {
		answer := p.ready
		p.ready = nil
		c.reply(answer)
		return
	}
	c.askForTime(c.brain.run)
}
