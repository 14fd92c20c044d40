package pcsclite

import "context"

// waiter is a program that waits for a change of a reader. It is answered
// once: by the change, by SCardCancel, or by its own end of waiting. Who
// answers has taken it out of the session first.
type waiter struct{ cancel context.CancelFunc }

// arrayMinor is the version since which a wait is answered with nothing, and
// the program asks for the readers by itself.
const arrayMinor = 6

// wait registers for a change from the readers on that the program learns of
// next. Up to 4:5 they are the answer.
func (c *session) wait() error {
	c.endWait(Success) // a second registration replaces the first
	c.pending = true
	if c.minor >= arrayMinor {
		return nil
	}
	return c.readers()
}

// readers answers with the readers as they are, and begins a wait where one is
// due. No change falls between the two, and no change is told before the
// readers, whose records it would be taken for.
func (c *session) readers() error {
	states, changed := c.srv.states()
	if err := c.send(states); err != nil {
		return err
	}
	if c.pending {
		c.pending = false
		c.await(changed)
	}
	return nil
}

// await tells the program of the change.
func (c *session) await(changed <-chan struct{}) {
	ctx, cancel := context.WithCancel(c.ctx)
	w := &waiter{cancel: cancel}
	c.waiting.Lock()
	c.waiter = w
	c.waiting.Unlock()
	c.wg.Go(func() {
		select {
		case <-changed:
			if c.claim(w) {
				c.signal(Success)
			}
		case <-ctx.Done():
		}
	})
}

// claim takes w out of the session and tells whether it was still there.
func (c *session) claim(w *waiter) bool {
	c.waiting.Lock()
	defer c.waiting.Unlock()
	if c.waiter != w || w == nil {
		return false
	}
	c.waiter = nil
	w.cancel()
	return true
}

// endWait ends a wait that has not been answered and tells whether there was
// one. What is not a success is told to the program.
func (c *session) endWait(tell Code) bool {
	c.waiting.Lock()
	w := c.waiter
	c.waiting.Unlock()
	if !c.claim(w) {
		return false
	}
	if tell != Success {
		c.signal(tell)
	}
	return true
}

// signal answers a wait. Where that fails the program is gone, or does not
// read; its session ends.
func (c *session) signal(rv Code) {
	if err := c.answer(waitBody{RV: uint32(rv)}, nil); err != nil {
		c.ended(err)
		c.hangUp()
	}
}
