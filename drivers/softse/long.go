package softse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// INS bytes of GENERATE ASYMMETRIC KEY PAIR (ISO/IEC 7816-8, 11.2), the
// commands that can take longer than a caller may wait.
const (
	insGenerate    = 0x46
	insGenerateBER = 0x47
)

func long(c apdu.Command) bool { return c.INS == insGenerate || c.INS == insGenerateBER }

// job is a long command in its goroutine. The card owns it: it starts one at
// a time and does nothing else with its channels before the job has ended.
type job struct {
	ctx       context.Context // of who waits for it
	done      chan struct{}   // closed at the end; response and err are set
	response  apdu.Response
	err       error
	abandoned bool // the power went off: the goroutine closes the channels
	commits   bool // what it has done is written down: it cannot be given up any more
	givenUp   bool // nobody waits for the answer: what it does must not last
}

// busyTime is how often a card that makes a key asks for more time.
const busyTime = 5 * time.Second

// errGivenUp keeps the old key where nobody waits for the new one.
var errGivenUp = errors.New("nobody waits for the answer of the command any more")

// contain turns a panic into an error. A panic is a fault of an application;
// one card must not take the others with it.
func contain(who fmt.Stringer, err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%s: fault in an application, reset the card: %v: %w", who, v, drivers.ErrOutcomeUnknown)
	}
}

// run executes the command.
func (j *job) run(c *Card, s applet.Selection, cmd apdu.Command) {
	defer contain(c, &j.err)
	j.response = s.Process(cmd)
}

// runLong executes a command in a goroutine and returns early when ctx is
// done, unless the command has begun to write down what it did. Given up before,
// it changes nothing that lasts.
func (c *Card) runLong(ctx context.Context, s applet.Selection, cmd apdu.Command) (apdu.Response, error) {
	cmd.Data = append([]byte(nil), cmd.Data...) // the caller's slice may change once we return
	j := &job{ctx: ctx, done: make(chan struct{})}
	c.job = j
	go func() {
		j.run(c, s, cmd)
		clear(cmd.Data)
		c.jobMu.Lock()
		if j.abandoned {
			c.closeChannels()
		}
		close(j.done)
		c.jobMu.Unlock()
	}()
	if err := c.await(j); err != nil {
		return apdu.Response{}, err
	}
	c.job = nil
	return j.response, j.err
}

// await waits for a job, and asks for more time meanwhile.
func (c *Card) await(j *job) error {
	tick := time.NewTicker(busyTime)
	defer tick.Stop()
	for {
		select {
		case <-j.done:
			if j.givenUp { // by itself, when it came to the end
				return j.gaveUp()
			}
			return nil
		case <-tick.C:
			drivers.Busy(j.ctx)
		case <-j.ctx.Done():
			if c.giveUp(j) {
				return j.gaveUp()
			}
			<-j.done // it only writes, and the caller is better told what came of it
			return nil
		}
	}
}

func (j *job) gaveUp() error {
	return fmt.Errorf("the key generation was given up, the key is as it was: %w: %w", drivers.ErrOutcomeUnknown, j.ctx.Err())
}

// giveUp makes a job change nothing that lasts. False says that it is too late.
func (c *Card) giveUp(j *job) bool {
	c.jobMu.Lock()
	defer c.jobMu.Unlock()
	j.givenUp = !j.commits
	return j.givenUp
}

// mayCommit is asked before anything is written down. A job whose caller has gone
// may not; from here on it is not given up.
func (c *Card) mayCommit() error {
	j := c.job
	if j == nil {
		return nil
	}
	if drivers.Busy(j.ctx); j.ctx.Err() != nil { // whoever waits looks whether the client is there
		c.giveUp(j)
	}
	c.jobMu.Lock()
	defer c.jobMu.Unlock()
	if j.givenUp {
		return errGivenUp
	}
	j.commits = true
	return nil
}

// settle waits until no command runs.
func (c *Card) settle(ctx context.Context) error {
	if c.job == nil {
		return nil
	}
	select {
	case <-c.job.done:
		c.job = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a key generation still runs: %w", ctx.Err())
	}
}

// abandon leaves it to a command that still runs to close the channels, and
// tells whether there is one.
func (c *Card) abandon() bool {
	if c.job == nil {
		return false
	}
	c.jobMu.Lock()
	defer c.jobMu.Unlock()
	select {
	case <-c.job.done:
		return false
	default:
		c.job.abandoned = true
		c.job.givenUp = !c.job.commits
		return true
	}
}
