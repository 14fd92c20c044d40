package cardsim

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/drivers/iso7816"
	"golang.org/x/sys/unix"
)

// PTY is a card behind a pseudo-terminal, in real time, for what opens a serial
// port by its path. What is written to the port is heard on it, as on the line
// of a card. A pseudo-terminal has a rate and no parity; the contacts are
// reached by the methods. It implements [iso7816.Contacts] and, by Slot,
// [iso7816.Clock].
type PTY struct {
	*Slot
	path   string
	master *os.File
	slave  *os.File // held, so that the line does not hang up
	kick   chan struct{}
	quit   chan struct{}
	wg     sync.WaitGroup
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
	slave, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, errors.Join(err, master.Close())
	}
	p := &PTY{Slot: slot, path: path, master: master, slave: slave, kick: make(chan struct{}, 1), quit: make(chan struct{})}
	p.wire.mode.Parity = iso7816.NoParity
	p.wg.Go(p.receive)
	p.wg.Go(p.deliver)
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
func (p *PTY) Close() error {
	close(p.quit)
	err := errors.Join(p.master.Close(), p.slave.Close())
	p.wg.Wait()
	return err
}

// SetVCC implements [iso7816.Contacts]. A break is not seen at the other end of
// a pseudo-terminal: I/O goes with the power.
func (p *PTY) SetVCC(on bool) error {
	if !on {
		_ = p.Slot.SetBreak(true) // never fails
		return p.Slot.SetVCC(false)
	}
	_ = p.Slot.SetVCC(true) // never fails
	return p.Slot.SetBreak(false)
}

// SetRST implements [iso7816.Contacts].
func (p *PTY) SetRST(high bool) error {
	p.follow()
	err := p.Slot.SetRST(high)
	p.wake()
	return err
}

// follow takes over the rate that the port is set to.
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
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wire.mode = iso7816.Mode{Rate: max(int(got.Ospeed), 1), Stop: stop, Parity: iso7816.NoParity}
}

// receive takes what the terminal writes until Close.
func (p *PTY) receive() {
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		if err != nil {
			return // Close; the slave is held open
		}
		p.follow()
		p.mu.Lock()
		p.advance(p.wire.now())
		p.wire.write(buf[:n], p.card.inverse)
		p.mu.Unlock()
		p.wake()
	}
}

func (p *PTY) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// deliver hands characters to the terminal when their time has come, until
// Close.
func (p *PTY) deliver() {
	for {
		out, next := p.due()
		if len(out) > 0 {
			if _, err := p.master.Write(out); err != nil {
				return // Close
			}
			continue
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-p.kick:
		case <-p.quit:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// due is what the terminal's UART has by now, and else how long there is
// nothing to do.
func (p *PTY) due() (out []byte, next time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.wire.now()
	p.advance(now)
	for len(p.wire.toReader) > 0 && p.wire.toReader[0].at <= now {
		out = append(out, p.wire.seen(p.wire.toReader[0]).Byte)
		p.wire.toReader = p.wire.toReader[1:]
	}
	next = time.Hour
	for _, queue := range [][]arrival{p.wire.toCard, p.wire.toReader} {
		if len(queue) > 0 {
			next = min(next, queue[0].at-now)
		}
	}
	if p.card.alarm > 0 {
		next = min(next, p.card.alarm-now)
	}
	return out, next
}
