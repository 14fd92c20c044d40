package iso7816

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// TTY is a UART of Linux: /dev/ttyAMA0, /dev/ttyUSB0. Characters of any rate
// come by termios2 and BOTHER; what the kernel has made of the settings is read
// back, since a UART that cannot do parity silently leaves it out.
type TTY struct {
	file *os.File
	path string
	mode Mode
	mark marks
	raw  [1024]byte
	rx   []Char
}

var _ UART = (*TTY)(nil)

// OpenTTY opens a UART for this process alone.
func OpenTTY(path string) (*TTY, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	t := &TTY{file: os.NewFile(uintptr(fd), path), path: path}
	if err := t.claim(); err != nil {
		return nil, errors.Join(err, t.file.Close())
	}
	return t, nil
}

func (t *TTY) claim() error {
	if _, err := t.termios(); err != nil {
		return fmt.Errorf("%s is no serial port: %w", t.path, err)
	}
	err := t.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCEXCL, 0) })
	if err != nil {
		return fmt.Errorf("%s: is another program using it? %w", t.path, err)
	}
	return nil
}

// control runs an ioctl on the descriptor.
func (t *TTY) control(f func(fd int) error) error {
	conn, err := t.file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func (t *TTY) termios() (*unix.Termios, error) {
	var got *unix.Termios
	err := t.control(func(fd int) (err error) {
		got, err = unix.IoctlGetTermios(fd, unix.TCGETS2)
		return err
	})
	return got, err
}

// parityFlags are the bits that a driver may leave out.
const parityFlags = unix.PARENB | unix.PARODD | unix.CSTOPB | unix.CSIZE | unix.CMSPAR

// settings are raw characters of this mode. Wrong parity comes as FF 00 and the
// character, FF as FF FF.
func (m Mode) settings() *unix.Termios {
	s := &unix.Termios{
		Cflag:  unix.BOTHER | unix.BOTHER<<unix.IBSHIFT | unix.CS8 | unix.CREAD | unix.CLOCAL,
		Iflag:  unix.PARMRK,
		Ispeed: uint32(m.Rate), Ospeed: uint32(m.Rate),
	}
	if m.Parity != NoParity {
		s.Cflag |= unix.PARENB
		s.Iflag |= unix.INPCK
	}
	if m.Parity == Odd {
		s.Cflag |= unix.PARODD
	}
	if m.Stop == 2 {
		s.Cflag |= unix.CSTOPB
	}
	s.Cc[unix.VMIN] = 1
	return s
}

// Configure implements [UART].
func (t *TTY) Configure(m Mode) error {
	if m == t.mode {
		return nil
	}
	t.mode = Mode{}
	want := m.settings()
	err := t.control(func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETSW2, want) })
	if err != nil {
		return fmt.Errorf("%s: set %d bits/s: %w", t.path, m.Rate, err)
	}
	got, err := t.termios()
	if err != nil {
		return fmt.Errorf("%s: read the settings back: %w", t.path, err)
	}
	if err := compare(want, got); err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	t.mode = m
	return nil
}

// compare judges what a UART has made of the settings. A character bears about
// 2 % of difference in rate between both ends.
func compare(want, got *unix.Termios) error {
	switch lost := want.Cflag & parityFlags &^ got.Cflag; {
	case lost&unix.PARENB != 0:
		return fmt.Errorf("%w: the UART has no parity (on a Raspberry Pi the mini UART, ttyS0, has none: use the PL011, ttyAMA0, which needs dtoverlay=disable-bt in config.txt)", ErrUnsupported)
	case want.Cflag&parityFlags != got.Cflag&parityFlags:
		return fmt.Errorf("%w: the UART turns c_cflag %o into %o", ErrUnsupported, want.Cflag&parityFlags, got.Cflag&parityFlags)
	}
	for _, rate := range []uint32{got.Ospeed, got.Ispeed} {
		if math.Abs(float64(rate)/float64(want.Ospeed)-1) > 0.02 {
			return fmt.Errorf("%w: the UART makes %d bits/s of %d", ErrUnsupported, rate, want.Ospeed)
		}
	}
	return nil
}

// Write implements [UART].
func (t *TTY) Write(ctx context.Context, p []byte) error {
	bound := 2*time.Second + time.Duration(len(p))*24*time.Second/time.Duration(max(t.mode.Rate, 1))
	if err := t.file.SetWriteDeadline(time.Now().Add(bound)); err != nil {
		return err
	}
	defer t.hurry(ctx, t.file.SetWriteDeadline)()
	_, err := t.file.Write(p)
	return hurried(ctx, err)
}

// Read implements [UART].
func (t *TTY) Read(ctx context.Context, p []Char, deadline time.Time) (int, error) {
	for len(t.rx) == 0 {
		n, err := t.poll()
		if n == 0 && err == nil {
			n, err = t.wait(ctx, deadline)
		}
		if err != nil {
			return 0, hurried(ctx, err)
		}
		t.rx = t.mark.decode(t.rx, t.raw[:n])
		clear(t.raw[:n])
	}
	n := copy(p, t.rx)
	t.rx = t.rx[:copy(t.rx, t.rx[n:])]
	return n, nil
}

// poll takes what has come already; the runtime's Read would not look any more
// once a deadline is over.
func (t *TTY) poll() (n int, err error) {
	err = t.control(func(fd int) error {
		n, err = unix.Read(fd, t.raw[:])
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			n, err = 0, nil
		}
		return err
	})
	return max(n, 0), err
}

func (t *TTY) wait(ctx context.Context, deadline time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := t.file.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	defer t.hurry(ctx, t.file.SetReadDeadline)()
	return t.file.Read(t.raw[:])
}

// hurry ends a call when ctx is done. What it returns is to be called after.
func (t *TTY) hurry(ctx context.Context, setDeadline func(time.Time) error) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = setDeadline(past) // the file is open: the caller is using it
		close(stopped)
	})
	return func() {
		if !stop() {
			<-stopped // it must not catch the next call
		}
	}
}

// hurried says the context's error where that was the reason.
func hurried(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// SetBreak implements [UART].
func (t *TTY) SetBreak(low bool) error {
	req := uint(unix.TIOCCBRK)
	if low {
		req = unix.TIOCSBRK
	}
	return t.control(func(fd int) error { return unix.IoctlSetInt(fd, req, 0) })
}

// String is the path.
func (t *TTY) String() string { return t.path }

// Close implements [UART].
func (t *TTY) Close() error { return t.file.Close() }
