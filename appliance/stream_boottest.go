//go:build boottest && linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/boards"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// otherMachine is this machine but for the contacts of its cards, when the
// kernel's command line has tses.contacts=stream: an emulated serial port has
// no other lines than its own, so the contacts are in the stream of bytes.
func otherMachine() *machine {
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil || !strings.Contains(string(text), "tses.contacts=stream") {
		return nil
	}
	return &machine{os.DirFS("/"), streamPorts{boards.Host()}}
}

type streamPorts struct{ boards.Ports }

// Card implements [boards.Ports].
func (p streamPorts) Card(at boards.CardPorts) (iso7816.UART, iso7816.Contacts, iso7816.Clock, error) {
	side, err := os.OpenFile(at.Device, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	tty, err := iso7816.OpenTTY(at.Device)
	if err != nil {
		return nil, nil, nil, errors.Join(err, side.Close())
	}
	contacts := cardsim.StreamContacts{W: side, FixedClock: iso7816.FixedClock(at.Clock)}
	return &streamTTY{tty, side, at.Device}, contacts, contacts, nil
}

// streamTTY tells the log how the kernel has set the port.
type streamTTY struct {
	*iso7816.TTY
	side   *os.File
	device string
}

// Configure implements [iso7816.UART].
func (u *streamTTY) Configure(m iso7816.Mode) error {
	if err := u.TTY.Configure(m); err != nil {
		return err
	}
	conn, err := u.side.SyscallConn()
	if err != nil {
		return err
	}
	var got *unix.Termios
	var inner error
	err = conn.Control(func(fd uintptr) { got, inner = unix.IoctlGetTermios(int(fd), unix.TCGETS2) })
	if err = errors.Join(err, inner); err != nil {
		return err
	}
	slog.Info("tty", "device", u.device, "rate", got.Ospeed, "parity", got.Cflag&unix.PARENB != 0,
		"odd", got.Cflag&unix.PARODD != 0, "two_stop_bits", got.Cflag&unix.CSTOPB != 0)
	return nil
}

const (
	streamPatience = 5 * time.Second       // with an emulated machine
	shortLook      = 20 * time.Millisecond // a look for what nobody asked for; all that is awaited has longer
)

// Read implements [iso7816.UART]. It waits longer than the card's waiting times:
// an emulated machine on a busy host may stand still for a while.
func (u *streamTTY) Read(ctx context.Context, p []iso7816.Char, deadline time.Time) (int, error) {
	if time.Until(deadline) > shortLook {
		deadline = deadline.Add(streamPatience)
	}
	return u.TTY.Read(ctx, p, deadline)
}

// Close implements [iso7816.UART].
func (u *streamTTY) Close() error { return errors.Join(u.TTY.Close(), u.side.Close()) }
