package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
	"github.com/cloud-of-se/tses/update"
	"github.com/cloud-of-se/tses/update/client"
)

// The exit status.
const (
	exitWell        = 0
	exitServerError = 1   // the server answered an error
	exitUsage       = 2   // the command line or a file on it
	exitNoSession   = 3   // no connection, not let in, or the server went away
	exitInterrupted = 130 // by a signal, as shells have it
)

// program is one run of racs: what it was told and where it talks.
type program struct {
	settings
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
}

// run does what the arguments ask for and returns the exit status.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}
	return p.run(ctx, args, env)
}

func (p *program) run(ctx context.Context, args []string, env func(string) string) int {
	words, err := p.parse(args, env)
	if err == nil && (p.help || len(words) > 0 && words[0] == "help") {
		err = p.showHelp(words)
	} else if err == nil && p.which {
		err = p.version(ctx, words)
	} else if err == nil {
		err = p.command(ctx, words)
	}
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	if text := errorText(err); text != "" {
		p.say("%s", text)
	}
	return exitStatus(err)
}

// command finds the command and runs it.
func (p *program) command(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return usageError("a command is missing; racs help shows them")
	}
	for _, c := range commands() {
		if c.name == words[0] {
			if p.as != "" && c.name != "pcsc" {
				return usageError("-as is for racs pcsc alone")
			}
			if p.socket != "" && c.name != "pcsc" {
				return usageError("-socket is for racs pcsc alone")
			}
			if p.asked != (update.Asked{}) && c.name != "update" {
				return usageError("-older and -boot are for racs update alone")
			}
			return c.run(p, ctx, words[1:])
		}
	}
	return usageError(fmt.Sprintf("no command %q; racs help shows them", words[0]))
}

// usageError is a mistake on the command line or in what it names.
type usageError string

func (e usageError) Error() string { return string(e) }

var errInterrupted = errors.New("interrupted")

// told is the exit status of a command that has said itself what is wrong.
type told int

func (t told) Error() string { return fmt.Sprintf("exit status %d", int(t)) }

// exitStatus is the contract with scripts.
func exitStatus(err error) int {
	var usage usageError
	var reported told
	switch {
	case err == nil:
		return exitWell
	case errors.As(err, &reported):
		return int(reported)
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &usage), errors.Is(err, racs.ErrRequest), errors.Is(err, racs.ErrCredential):
		return exitUsage
	case isStatus(err), errors.Is(err, errTakenBack), isRefusal(err):
		return exitServerError
	}
	return exitNoSession
}

func isStatus(err error) bool {
	_, ok := errors.AsType[racs.Status](err)
	return ok
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[client.Refusal](err)
	return ok
}

// errorText is the error with what to do next; empty if it was told.
func errorText(err error) string {
	if _, reported := errors.AsType[told](err); err == nil || reported {
		return ""
	}
	text := err.Error()
	if status, ok := errors.AsType[racs.Status](err); ok {
		if next := advice(status); next != "" {
			text += "; " + next
		}
		return text
	}
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, racs.ErrServerGone) {
		text += "; -timeout gives it more time, racs doctor shows what is wrong"
	}
	return text
}

// advice is what to do about an error that the server answered.
func advice(status racs.Status) string {
	switch status.Class {
	case racs.NotSupported:
		return "racs list shows the SEIDs that this credential may use"
	case racs.Unauthorized:
		return "the server's administrator can allow it by a rule or by a credential of the administrative plane"
	case racs.InUse:
		return "wait until the other session ends, or ask whoever has it"
	case racs.HardwareError:
		return "check that the SE is in its place and whole"
	case racs.SystemError, racs.ExecutionError:
		return "the log of the server may say more"
	}
	return ""
}

// fileError is a file on the command line that cannot be used.
func fileError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if errors.Is(err, os.ErrNotExist) {
		text += "; check the path"
	}
	return usageError(strings.TrimSpace(text))
}
