//go:build unix

package clock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// answer is a server's.
type answer struct {
	server     string
	offset     time.Duration
	configured bool // the configuration names it
}

// askTime bounds how long the servers have to answer.
const askTime = 5 * time.Second

// synchronise asks all servers at once, and tells whether one's time was taken.
func (c *Clock) synchronise(ctx context.Context) bool {
	answers := c.ask(ctx)
	if ctx.Err() != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	answers = slices.DeleteFunc(answers, func(a answer) bool {
		err := c.impossible(c.now().Add(a.offset))
		if err != nil {
			c.tell(a.server, err)
		}
		return err != nil
	})
	a, vouched, ok := choose(answers)
	if !ok {
		if c.State() < Told {
			c.tell("", errNobody)
		}
		return false
	}
	if err := c.take(a, vouched); err != nil {
		c.tell(a.server, err)
		return false
	}
	return true
}

// ask returns the answers in the order of the servers.
func (c *Clock) ask(ctx context.Context) []answer {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	servers := c.servers()
	answers, errs := make([]answer, len(servers)), make([]error, len(servers))
	var asking sync.WaitGroup
	for i, server := range servers {
		asking.Go(func() {
			answers[i] = answer{server: server, configured: slices.Contains(c.Servers, server)}
			answers[i].offset, errs[i] = c.query(ctx, server)
		})
	}
	asking.Wait()
	var all []answer
	for i, a := range answers {
		if errs[i] != nil {
			c.Log.Debug("clock: no time", "server", a.server, "err", errs[i])
			continue
		}
		all = append(all, a)
	}
	return all
}

// choose picks the answer to go by, and tells whether it is vouched for: by a
// server of the configuration, unless it contradicts another one of those, or by
// two servers that agree. Else it is the earliest: a time that is too late does
// more harm than one that is too early, which the evidence bounds.
func choose(answers []answer) (a answer, vouched, ok bool) {
	var named []answer
	for _, a := range answers {
		if a.configured {
			named = append(named, a)
		}
	}
	if len(named) == 1 {
		return named[0], true, true
	}
	if a, ok := pair(named); ok {
		return a, true, true
	}
	if a, ok := pair(answers); ok && (len(named) == 0 || a.configured) {
		return a, true, true
	}
	if len(answers) == 0 {
		return a, false, false
	}
	return slices.MinFunc(answers, func(a, b answer) int { return cmp.Compare(a.offset, b.offset) }), false, true
}

// pair returns the first answer that a later one agrees with.
func pair(answers []answer) (answer, bool) {
	for i, a := range answers {
		for _, b := range answers[i+1:] {
			if (a.offset - b.offset).Abs() <= agree {
				return a, true
			}
		}
	}
	return answer{}, false
}

// The reasons for which what somebody says of the time is not taken.
var (
	errImpossible = errors.New("no time that can be")
	errDoubtful   = errors.New("too far from what is known for one server that the configuration does not name")
	errOwner      = errors.New("not taken for a time that has passed")
	errNobody     = errors.New("no time server has answered yet")
	errFar        = errors.New("half a year ahead of what is known to have passed")
)

// impossible tells why a time is none, whoever says it. c.mu is held.
func (c *Clock) impossible(t time.Time) error {
	switch has := c.floor.evidence(time.Now()); {
	case t.Before(has):
		return fmt.Errorf("%w: %s is before %s, which has passed; if the server is wrong, name another in network.ntp", errImpossible, stamp(t), stamp(has))
	case t.After(c.Built.Add(maxAge)):
		return fmt.Errorf("%w: the image was built at %s, more than 20 years before; name another server in network.ntp, or make a new card", errImpossible, stamp(c.Built))
	}
	return nil
}

// doubtful tells why a time that nobody vouches for is not to be taken.
func (c *Clock) doubtful(t, at time.Time) error {
	low, high := c.floor.time(at).Add(-maxBack), c.Built.Add(maxAge)
	if since := at.Sub(c.anchored); c.State() == Proven {
		known, slack := c.anchor.Add(since), maxDrift+since/1000
		low, high = known.Add(-slack), known.Add(slack)
	}
	if t.Before(low) || t.After(high) {
		return fmt.Errorf("%w: it says %s, the clock is %s; if the server is right, name it in network.ntp", errDoubtful, stamp(t), stamp(c.now()))
	}
	return nil
}

// take sets the clock by an answer. c.mu is held.
func (c *Clock) take(a answer, vouched bool) error {
	was, at := c.now(), time.Now()
	t := was.Add(a.offset)
	state := Told
	switch within := !t.After(c.floor.evidence(at).Add(maxAhead)); {
	case !vouched:
		if err := c.doubtful(t, at); err != nil {
			return err
		}
		if c.State() == Proven {
			state = Proven
		}
	case within:
		state = Proven
	default:
		c.tell("ahead", fmt.Errorf("%w: the clock is set to it and not proven by it; a credential that the owner has issued lately, or an update, shows that it is right", errFar))
	}
	if err := c.set(t); err != nil {
		return err
	}
	changed, stepped := c.State() != state, a.offset.Abs() >= realStep
	if vouched {
		c.floor.witness(t, at)
		c.anchor, c.anchored = t, at
	}
	c.say(a, t, was, state, changed, stepped)
	if changed {
		c.become(state)
	}
	if state == Proven {
		clear(c.told)
		if c.Synced != nil {
			c.Synced(t)
		}
	}
	if changed || stepped || at.Sub(c.lastSave) >= saveEvery {
		c.save()
	}
	return nil
}

// say writes a step down.
func (c *Clock) say(a answer, t, was time.Time, s State, changed, stepped bool) {
	switch {
	case stepped:
		c.Log.Warn("clock", "time", stamp(t), "state", s.String(), "server", a.server, "step", a.offset, "was", stamp(was))
	case changed:
		c.Log.Info("clock", "time", stamp(t), "state", s.String(), "server", a.server, "step", a.offset)
	}
}

// maxTold bounds of how many it is remembered that something was said of them.
const maxTold = 64

// tell writes down that what somebody says is not taken, once until a proven time
// is. c.mu is held.
func (c *Clock) tell(who string, err error) {
	if c.told[who] || len(c.told) >= maxTold {
		return
	}
	if c.told == nil {
		c.told = make(map[string]bool)
	}
	c.told[who] = true
	c.Log.Warn("clock: not taken as it is", "from", who, "err", err)
}
