package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cloud-of-se/tses/cmd/racs/pcscdoor"
	"github.com/cloud-of-se/tses/internal/journal"
	"github.com/cloud-of-se/tses/internal/plain"
	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/stp/racs"
)

// pcscHelp is the manual of racs pcsc.
const pcscHelp = `PC/SC programs of this machine use the SEs of the TSES as if each sat in a local
reader. They need libpcsclite, and neither pcscd nor root. racs runs PROGRAM and
ends with its exit status; without PROGRAM it prints the line that tells a shell
where the readers are, and stays until it is interrupted.

    racs pcsc [-as WORD] [-socket PATH] [SEID[=NAME]...] [-- PROGRAM ARGS]
    racs pcsc -- opensc-tool -l
    racs pcsc soft1 -- gpg --card-status

A reader has its SE's name. Where SEs are named no others are shown. SEID=NAME
gives the reader another name, and -as WORD puts a word before the SEID of those
that have none, for programs that look for one. -as YubiKey stands for "Yubico
YubiKey CCID", which ykman, ykcs11, piv-go and their like look for:

    racs pcsc -as YubiKey soft1 -- ykman piv info

A program that outlives racs (gpg-agent, scdaemon, a browser) keeps the path of the
socket. -socket gives it one that stays, in a directory of yours with mode 0700;
what a racs that is gone has left there is taken over:

    racs pcsc -socket $XDG_RUNTIME_DIR/racs.pcsc
    PCSCLITE_CSOCK_NAME=$XDG_RUNTIME_DIR/racs.pcsc gpg --card-status

An SE is powered on when the first program connects to its reader, which takes
it from other users of the TSES, and powered off when the last one has gone.
Where the connection breaks, programs see the card removed, and inserted when it
is back; a TSES that answers nothing for 22 seconds counts as broken, and the TSES
gives the SEs of a client that is gone free after 25. A command that the TSES's rules forbid is answered 6982. PC/SC has room
for 16 readers.
`

// pcscArgs are the arguments of racs pcsc.
type pcscArgs struct {
	seids   []string
	names   map[string]string
	program []string
}

// parsePCSC reads "[SEID[=NAME]...] [-- PROGRAM ARGS]". before is how many
// words stand before the "--", negative without one.
func parsePCSC(words []string, before int) (a pcscArgs, err error) {
	a.names = map[string]string{}
	if before >= 0 {
		words, a.program = words[:before], words[before:]
		if len(a.program) == 0 {
			return a, usageError("the program is missing behind --: racs pcsc -- PROGRAM ARGS")
		}
	}
	for _, word := range words {
		seid, name, renamed := strings.Cut(word, "=")
		if seid == "" || renamed && name == "" {
			return a, usageError(fmt.Sprintf("%q is neither SEID nor SEID=NAME; a program to run stands behind --", word))
		}
		a.seids = append(a.seids, seid)
		if renamed {
			a.names[seid] = name
		}
	}
	if len(a.seids) > pcsclite.MaxReaders {
		return a, usageError(fmt.Sprintf("%d SEs; PC/SC has room for %d readers", len(a.seids), pcsclite.MaxReaders))
	}
	return a, nil
}

// pcsc shows SEs as readers, to one program or to all that are told.
func (p *program) pcsc(ctx context.Context, words []string) error {
	a, err := parsePCSC(words, p.before-1) // without the command's own name
	if err != nil {
		return err
	}
	config, err := p.config()
	if err != nil {
		return err
	}
	// A terminal that is closed must not leave the socket behind.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	log, endLog := p.openLog()
	defer endLog()
	door, err := pcscdoor.Open(ctx, pcscdoor.Options{
		Dial:  func(ctx context.Context) (*racs.Client, error) { return racs.Dial(ctx, p.server, config, p.options()) },
		SEIDs: a.seids, Socket: p.socket, CallTimeout: p.timeout, OpenTimeout: p.timeout,
		Name: func(seid string) string { return readerName(plain.Text(seid), a.names[seid], p.as) },
		Log:  log,
	})
	if errors.Is(err, pcscdoor.ErrNoSE) || errors.Is(err, pcsclite.EInvalidValue) || errors.Is(err, pcsclite.EDuplicateReader) {
		return usageError(err.Error())
	}
	if err != nil {
		return err
	}
	if len(a.program) == 0 {
		if err := p.printLines(fmt.Sprintf("export %s=%s", pcsclite.EnvPath, quoted(door.Path()))); err != nil {
			return errors.Join(err, door.Close())
		}
		return door.Run(ctx)
	}
	return p.behindDoor(ctx, door, a.program)
}

// yubiKey is what -as YubiKey puts before a SEID: the name that the tools and
// libraries for YubiKeys look for, each for another part of it (ykman "Yubico
// YubiKey" and "CCID", ykcs11 "Yubico", piv-go "yubikey").
const yubiKey = "Yubico YubiKey CCID"

// readerName is what programs see.
func readerName(seid, name, as string) string {
	switch {
	case name != "":
		return name
	case strings.EqualFold(as, "YubiKey"):
		return yubiKey + " " + seid
	case as != "":
		return as + " " + seid
	}
	return seid
}

// openLog is where the door tells what goes wrong. A terminal that is stopped does
// not hold the programs, and no program fills it.
func (p *program) openLog() (log *slog.Logger, end func()) {
	const lines, interval = 30, time.Minute
	w := journal.New(p.stderr, journal.Options{})
	quota := journal.NewQuota(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: untimed}), lines, interval)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { quota.Run(ctx) })
	return quota.Logger(nil), func() {
		cancel()
		running.Wait()
		_ = w.Close(time.Second) // what is lost because nobody takes it cannot be told to anybody
	}
}

// untimed leaves the time out of lines for a terminal, and bounds the rest.
func untimed(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return journal.Bound(groups, a)
}

// quoted is a word for a shell.
func quoted(s string) string {
	if strings.IndexFunc(s, func(c rune) bool {
		return !strings.ContainsRune("/._-+", c) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// behindDoor runs a program that finds the readers. An interrupt is passed on;
// a program that does not heed it is killed.
func (p *program) behindDoor(ctx context.Context, door *pcscdoor.Door, words []string) error {
	serving, closeDoor := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- door.Run(serving) }()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), pcsclite.EnvPath+"="+door.Path())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.stdin, p.stdout, p.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	closeDoor()
	return errors.Join(programError(words[0], err), <-served)
}

// programError makes a program's exit status that of racs. One that a signal
// ended is 128 and the signal, as in shells.
func programError(name string, err error) error {
	exit, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case !ended:
		return usageError(fmt.Sprintf("run %s: %v", name, err))
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return told(128 + int(status.Signal()))
	}
	return told(exit.ExitCode())
}
