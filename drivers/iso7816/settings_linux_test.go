package iso7816

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSettings: what is asked of the kernel, bit by bit.
func TestSettings(t *testing.T) {
	const raw = unix.BOTHER | unix.BOTHER<<unix.IBSHIFT | unix.CS8 | unix.CREAD | unix.CLOCAL
	for _, tt := range []struct {
		mode         Mode
		cflag, iflag uint32
	}{
		{Mode{10323, Even, 2}, raw | unix.PARENB | unix.CSTOPB, unix.PARMRK | unix.INPCK},
		{Mode{10323, Odd, 2}, raw | unix.PARENB | unix.PARODD | unix.CSTOPB, unix.PARMRK | unix.INPCK},
		{Mode{480000, Even, 1}, raw | unix.PARENB, unix.PARMRK | unix.INPCK},
		{Mode{480000, NoParity, 2}, raw | unix.CSTOPB, unix.PARMRK},
	} {
		got := tt.mode.settings()
		if got.Cflag != tt.cflag || got.Iflag != tt.iflag || got.Lflag != 0 || got.Oflag != 0 {
			t.Errorf("%+v: c_cflag %o, c_iflag %o; want %o, %o", tt.mode, got.Cflag, got.Iflag, tt.cflag, tt.iflag)
		}
		if got.Ispeed != uint32(tt.mode.Rate) || got.Ospeed != uint32(tt.mode.Rate) {
			t.Errorf("%+v: rates %d and %d", tt.mode, got.Ispeed, got.Ospeed)
		}
	}
}

// TestCompare: which answers of the kernel are good enough.
func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*unix.Termios)
		ok     bool
	}{
		{"as asked", func(*unix.Termios) {}, true},
		{"1 % off", func(s *unix.Termios) { s.Ospeed += 100; s.Ispeed += 100 }, true},
		{"3 % off", func(s *unix.Termios) { s.Ospeed += 310 }, false},
		{"input 3 % off", func(s *unix.Termios) { s.Ispeed -= 310 }, false},
		{"mini UART", func(s *unix.Termios) { s.Cflag &^= unix.PARENB | unix.CSTOPB }, false},
		{"no second stop bit", func(s *unix.Termios) { s.Cflag &^= unix.CSTOPB }, false},
		{"seven bits", func(s *unix.Termios) { s.Cflag = s.Cflag&^unix.CSIZE | unix.CS7 }, false},
		{"odd", func(s *unix.Termios) { s.Cflag |= unix.PARODD }, false},
		{"mark", func(s *unix.Termios) { s.Cflag |= unix.CMSPAR }, false},
	} {
		want := Mode{10323, Even, 2}.settings()
		got := *want
		tt.change(&got)
		err := compare(want, &got)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
