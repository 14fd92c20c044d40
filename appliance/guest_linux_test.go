package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/physic"

	"github.com/cloud-of-se/tses/boards"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/iso7816"
)

const (
	guestEnv    = "TSES_GUEST" // on the kernel's command line, which gives it to the first process
	guestConfig = "tses.toml"
	guestState  = "state"
	guestPort   = "7777"
	guestLog    = "10.0.2.100:9" // taken by QEMU
	guestClock  = 3840 * physic.KiloHertz
)

// init makes the test's own program the first process of the virtual machine of
// [TestWholeWay], where nothing else of it has a place.
func init() {
	if os.Getpid() != 1 || os.Getenv(guestEnv) == "" {
		return
	}
	if err := beGuest(); err != nil {
		fmt.Fprintln(os.Stderr, err) // the console, if there is one
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // nothing is left to be told
}

// beGuest is the TSES of this machine. Its network has been set up by the
// kernel.
func beGuest() error {
	for _, m := range []struct{ kind, dir string }{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	log, err := net.DialTimeout("tcp", guestLog, bound)
	if err != nil {
		return err
	}
	f := flags{config: "/" + guestConfig, state: "/" + guestState}
	f.machine = &machine{os.DirFS("/"), guestPorts{boards.Host(), slog.New(slog.NewTextHandler(log, nil))}}
	err = serve(context.Background(), f, log)
	fmt.Fprintln(log, "END", err)
	return errors.Join(err, log.Close())
}

// guestPorts are the host's, but that the card's contacts are in the stream of
// its serial port.
type guestPorts struct {
	boards.Ports
	log *slog.Logger
}

// Card implements [boards.Ports].
func (p guestPorts) Card(at boards.CardPorts) (iso7816.UART, iso7816.Contacts, iso7816.Clock, error) {
	side, err := os.OpenFile(at.Device, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	tty, err := iso7816.OpenTTY(at.Device)
	if err != nil {
		return nil, nil, nil, errors.Join(err, side.Close())
	}
	contacts := cardsim.StreamContacts{W: side, FixedClock: iso7816.FixedClock(at.Clock)}
	return &guestTTY{tty, side, p.log}, contacts, contacts, nil
}

// guestTTY tells the log how the kernel has set the port.
type guestTTY struct {
	*iso7816.TTY
	side *os.File
	log  *slog.Logger
}

// Configure implements [iso7816.UART].
func (u *guestTTY) Configure(m iso7816.Mode) error {
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
	u.log.Info("tty", "rate", got.Ospeed, "parity", got.Cflag&unix.PARENB != 0, "odd", got.Cflag&unix.PARODD != 0,
		"two_stop_bits", got.Cflag&unix.CSTOPB != 0)
	return nil
}

const (
	guestPatience = 5 * time.Second       // with an emulated machine
	soon          = 20 * time.Millisecond // a look for what nobody asked for; all that is awaited has longer
)

// Read implements [iso7816.UART]. It waits longer than the card's waiting times:
// an emulated machine on a busy host may stand still for a while.
func (u *guestTTY) Read(ctx context.Context, p []iso7816.Char, deadline time.Time) (int, error) {
	if time.Until(deadline) > soon {
		deadline = deadline.Add(guestPatience)
	}
	return u.TTY.Read(ctx, p, deadline)
}

// Close implements [iso7816.UART].
func (u *guestTTY) Close() error { return errors.Join(u.TTY.Close(), u.side.Close()) }
