package iso7816

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ModemLine is a line that a serial port drives besides its data.
type ModemLine uint8

const (
	NoLine ModemLine = iota
	RTS
	DTR
)

// bit is the line in TIOCMBIS and TIOCMBIC.
func (l ModemLine) bit() int {
	return map[ModemLine]int{RTS: unix.TIOCM_RTS, DTR: unix.TIOCM_DTR}[l]
}

// String is "RTS", "DTR" or "none".
func (l ModemLine) String() string { return [...]string{"none", "RTS", "DTR"}[l%3] }

// ModemContacts are RST and VCC of an adapter that hangs on the lines of its
// serial port. A line that is set means RST high and VCC on, unless it is
// inverted.
type ModemContacts struct {
	TTY       *TTY
	RST       ModemLine
	InvertRST bool
	VCC       ModemLine // [NoLine] where the power is always on
	InvertVCC bool

	// Detect tells that the adapter sets CTS where a card is in.
	Detect bool
}

var _ Contacts = (*ModemContacts)(nil)

// Phoenix are the contacts of a Phoenix adapter: RTS set is reset, the power is
// always on.
func Phoenix(t *TTY) *ModemContacts { return &ModemContacts{TTY: t, RST: RTS, InvertRST: true} }

// Smartmouse are those of a Smartmouse: RTS set lets the card run.
func Smartmouse(t *TTY) *ModemContacts { return &ModemContacts{TTY: t, RST: RTS} }

// SetRST implements [Contacts].
func (c *ModemContacts) SetRST(high bool) error { return c.set(c.RST, high != c.InvertRST) }

// SetVCC implements [Contacts].
func (c *ModemContacts) SetVCC(on bool) error { return c.set(c.VCC, on != c.InvertVCC) }

func (c *ModemContacts) set(line ModemLine, state bool) error {
	if line == NoLine {
		return nil
	}
	req := uint(unix.TIOCMBIC)
	if state {
		req = unix.TIOCMBIS
	}
	err := c.TTY.control(func(fd int) error { return unix.IoctlSetPointerInt(fd, req, line.bit()) })
	if err != nil {
		return fmt.Errorf("%s of %s: %w", line, c.TTY, err)
	}
	return nil
}

// Present implements [Contacts].
func (c *ModemContacts) Present() (bool, error) {
	if !c.Detect {
		return true, nil
	}
	var lines int
	err := c.TTY.control(func(fd int) (err error) {
		lines, err = unix.IoctlGetInt(fd, unix.TIOCMGET)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("CTS of %s: %w", c.TTY, err)
	}
	return lines&unix.TIOCM_CTS != 0, nil
}

// String tells the lines: "RST by RTS, VCC by none of /dev/ttyUSB0".
func (c *ModemContacts) String() string {
	return fmt.Sprintf("RST by %s, VCC by %s of %s", c.RST, c.VCC, c.TTY)
}
