// Guest is the first process of the virtual machine in which the driver for
// cards on a UART is tested against a real tty driver of the kernel. It speaks
// to the card of package cardsim at the far end of the serial port and tells
// there what came of it.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/iso7816"
	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/physic"
)

// port is the serial port, what the kernel's command line has behind "--".
var port = "/dev/ttyAMA0"

func main() {
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err) // the console, if there is one
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // nothing is left to be told
}

func run() error {
	if err := unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return err
	}
	side, err := os.OpenFile(port, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	contacts := cardsim.StreamContacts{W: side, FixedClock: iso7816.FixedClock(3840 * physic.KiloHertz)}
	result := "all well"
	if err := exercise(contacts); err != nil {
		result = err.Error()
	}
	err = contacts.Note("END " + result)
	time.Sleep(time.Second) // until the port is empty
	return err
}

func exercise(contacts cardsim.StreamContacts) error {
	tty, err := iso7816.OpenTTY(port)
	if err != nil {
		return err
	}
	opts := iso7816.DefaultOpts
	opts.Latency = 5 * time.Second // the machine is an emulated one
	d, err := iso7816.New(tty, contacts, contacts, &opts)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	atr, err := d.PowerOn(ctx)
	if err != nil {
		return err
	}
	if err := contacts.Note(fmt.Sprintf("ATR %X", atr)); err != nil {
		return err
	}
	if err := tell(contacts); err != nil {
		return err
	}
	for _, n := range []int{1, 20, 255} {
		if err := echo(ctx, d, n); err != nil {
			return fmt.Errorf("%d bytes: %w", n, err)
		}
	}
	if _, err := d.Reset(ctx, drivers.Warm); err != nil {
		return err
	}
	return errors.Join(echo(ctx, d, 5), d.Close())
}

// tell reads the settings of the port back.
func tell(contacts cardsim.StreamContacts) error {
	f, err := os.Open(port)
	if err != nil {
		return err
	}
	got, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS2)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	text := fmt.Sprintf("TTY %d bits/s, parity %v, odd %v, two stop bits %v", got.Ospeed,
		got.Cflag&unix.PARENB != 0, got.Cflag&unix.PARODD != 0, got.Cflag&unix.CSTOPB != 0)
	return errors.Join(contacts.Note(text), f.Close())
}

// echo sends n bytes FF, which the tty marks, and wants them back.
func echo(ctx context.Context, d *iso7816.Dev, n int) error {
	data := bytes.Repeat([]byte{0xFF}, n)
	got, err := d.Transmit(ctx, append([]byte{0x80, 0xE0, 0, 0, byte(n)}, data...))
	if err == nil && len(got) == 2 && got[0] == 0x61 {
		got, err = d.Transmit(ctx, []byte{0, 0xC0, 0, 0, got[1]})
	}
	if err != nil {
		return err
	}
	if want := append(data, 0x90, 0x00); !bytes.Equal(got, want) {
		return fmt.Errorf("got %X, want %X", got, want)
	}
	return nil
}
