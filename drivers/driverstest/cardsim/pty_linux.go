package cardsim

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/cloud-of-se/tses/drivers/iso7816"
	"golang.org/x/sys/unix"
)

// PTY is a card behind a pseudo-terminal, in real time, for what opens a serial
// port by its path. What is written to the port is heard on it, as on the line
// of a card. A pseudo-terminal has a rate and no parity; the contacts are
// reached by the methods. It implements [iso7816.Contacts] and, by Slot,
// [iso7816.Clock].
type PTY struct {
	*pump
	path   string
	master *os.File
	slave  *os.File // held, so that the line does not hang up
}

var _ iso7816.Contacts = (*PTY)(nil)

// OpenPTY makes a card that has no power. Close ends it.
func OpenPTY(opts Options) (*PTY, error) {
	slot, err := New(opts)
	if err != nil {
		return nil, err
	}
	master, path, err := openMaster()
	if err != nil {
		return nil, fmt.Errorf("pseudo-terminal: %w", err)
	}
	hold, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, errors.Join(err, master.Close())
	}
	p := &PTY{path: path, master: master, slave: hold}
	p.pump = newPump(slot, master)
	p.look = p.follow
	p.start()
	return p, nil
}

func openMaster() (*os.File, string, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	var raw *unix.Termios
	if err == nil {
		raw, err = unix.IoctlGetTermios(fd, unix.TCGETS2)
	}
	if err == nil {
		raw.Lflag, raw.Oflag, raw.Iflag = 0, 0, 0 // nothing is echoed or changed
		err = unix.IoctlSetTermios(fd, unix.TCSETS2, raw)
	}
	if err != nil {
		return nil, "", errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), "/dev/pts/" + strconv.Itoa(n), nil
}

// Path is the serial port.
func (p *PTY) Path() string { return p.path }

// Close ends the card.
func (p *PTY) Close() error { return errors.Join(p.stop(), p.slave.Close()) }

// follow takes over the rate that the port is set to. The lock is held.
func (p *PTY) follow() {
	conn, err := p.master.SyscallConn()
	if err != nil {
		return // closed
	}
	var got *unix.Termios
	if conn.Control(func(fd uintptr) { got, err = unix.IoctlGetTermios(int(fd), unix.TCGETS2) }) != nil || err != nil {
		return // closed
	}
	stop := 1
	if got.Cflag&unix.CSTOPB != 0 {
		stop = 2
	}
	p.wire.mode = iso7816.Mode{Rate: max(int(got.Ospeed), 1), Stop: stop, Parity: iso7816.NoParity}
}
