package softse

import (
	"context"
	"fmt"

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
	done      chan struct{} // closed at the end; response and err are set
	response  apdu.Response
	err       error
	abandoned bool // the power went off: the goroutine closes the channels
}

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
// done.
func (c *Card) runLong(ctx context.Context, s applet.Selection, cmd apdu.Command) (apdu.Response, error) {
	cmd.Data = append([]byte(nil), cmd.Data...) // the caller's slice may change once we return
	j := &job{done: make(chan struct{})}
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
	if err := c.settle(ctx); err != nil {
		return apdu.Response{}, fmt.Errorf("%w: %w", drivers.ErrOutcomeUnknown, err)
	}
	return j.response, j.err
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
		return true
	}
}
