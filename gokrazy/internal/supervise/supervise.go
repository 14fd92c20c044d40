//go:build unix

// Package supervise keeps one daemon running: it starts it again when it ends,
// each time a little later, and ends it when it hangs.
//
// A daemon shows that it is well by writing a byte to a pipe that it inherits
// ([HeartbeatEnv] names the descriptor), each time it has convinced itself that
// it serves. What only its own look can tell, a supervisor cannot: a process
// that exists is not one that works.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// HeartbeatEnv is the environment variable that tells the daemon the number of
// the file descriptor for its heartbeats.
const HeartbeatEnv = sdcard.HeartbeatEnv

// heartbeatFD is the number: the first behind standard error.
const heartbeatFD = "3"

// Daemon is one program that is kept running. Zero durations have the defaults
// that are said beside them.
type Daemon struct {
	Path       string
	Args       []string
	Env        []string
	Credential *syscall.Credential // nil: as its supervisor
	Output     io.Writer           // of the daemon; nil: nowhere
	Log        *slog.Logger

	Grace   time.Duration // from the start to the first heartbeat; 60 s
	Silence time.Duration // between two heartbeats; 20 s
	Drain   time.Duration // to end when it is asked to; 40 s
	First   time.Duration // pause before the second start; 250 ms
	Most    time.Duration // the longest pause; 30 s

	lastBeat atomic.Pointer[time.Time] // nil: not since the last start
	starts   atomic.Int64
}

// errHangs ends a daemon whose heart has stopped.
var errHangs = errors.New("no heartbeat")

func or(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Healthy tells whether the daemon has shown lately that it is well.
func (d *Daemon) Healthy() bool {
	// The time has its monotonic part, which setting the clock does not change.
	last := d.lastBeat.Load()
	return last != nil && time.Since(*last) < or(d.Silence, 20*time.Second)
}

// Starts is how often the daemon was started.
func (d *Daemon) Starts() int { return int(d.starts.Load()) }

// Run keeps the daemon running until the context is done. Then it asks it to
// end (SIGTERM), waits for the drain time, and ends it.
func (d *Daemon) Run(ctx context.Context) {
	first, most := or(d.First, 250*time.Millisecond), or(d.Most, 30*time.Second)
	pause := first
	for ctx.Err() == nil {
		began := time.Now()
		err := d.once(ctx)
		lived := time.Since(began)
		if ctx.Err() != nil {
			d.Log.Info("the daemon has ended", "lived", lived.Round(time.Millisecond), "how", outcome(err))
			return
		}
		if lived > 2*most {
			pause = first // it had been well
		}
		d.Log.Error("the daemon has ended by itself", "lived", lived.Round(time.Millisecond), "how", outcome(err), "next start in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, most)
	}
}

func outcome(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// once runs the daemon to its end.
func (d *Daemon) once(parent context.Context) error {
	ctx, end := context.WithCancelCause(parent)
	defer end(nil)
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("heartbeat pipe: %w", err)
	}
	defer read.Close()
	d.lastBeat.Store(nil)
	d.starts.Add(1)
	cmd := exec.CommandContext(ctx, d.Path, d.Args...)
	cmd.Env = append(append([]string{}, d.Env...), HeartbeatEnv+"="+heartbeatFD)
	cmd.ExtraFiles = []*os.File{write}
	cmd.Stdout, cmd.Stderr = d.Output, d.Output
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.Credential, Setpgid: true}
	cmd.WaitDelay = or(d.Drain, 40*time.Second)
	cmd.Cancel = func() error {
		if errors.Is(context.Cause(ctx), errHangs) {
			return cmd.Process.Signal(syscall.SIGKILL) // it would not listen
		}
		return cmd.Process.Signal(syscall.SIGTERM)
	}
	err = cmd.Start()
	write.Close() // the daemon's end is its own now
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		d.watch(ctx, read, end)
	}()
	err = cmd.Wait()
	read.Close() // ends watch, if a child of the daemon still holds the pipe
	end(nil)
	<-watched
	d.lastBeat.Store(nil) // what it has shown does not hold for the pause behind it
	if cause := context.Cause(ctx); errors.Is(cause, errHangs) {
		return cause
	}
	return err
}

// watch reads heartbeats, and calls end when one is missing.
func (d *Daemon) watch(ctx context.Context, beats *os.File, end context.CancelCauseFunc) {
	limit := or(d.Grace, 60*time.Second)
	buf := make([]byte, 64)
	for {
		if err := beats.SetReadDeadline(time.Now().Add(limit)); err != nil {
			return // closed: the daemon has ended
		}
		_, err := beats.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			end(fmt.Errorf("%w for %v", errHangs, limit))
			return
		case err != nil:
			// The daemon has closed its end; if it lives on, it is as mute
			// as one that hangs.
			d.wait(ctx, limit, end)
			return
		}
		now := time.Now()
		d.lastBeat.Store(&now)
		limit = or(d.Silence, 20*time.Second)
	}
}

func (d *Daemon) wait(ctx context.Context, limit time.Duration, end context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
	case <-time.After(limit):
		end(fmt.Errorf("%w for %v", errHangs, limit))
	}
}
