package i2c

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/internal/chipbus"
	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

var (
	_ drivers.Keeper = (*Dev)(nil)
	_ conn.Resource  = (*Dev)(nil)
)

// Dev is a secure element on a bus.
type Dev struct{ element *chipbus.Element }

// The 7-bit addresses that the specification of the bus does not reserve.
const (
	minAddr = 0x08
	maxAddr = 0x77
)

// New makes the driver of the chip with a 7-bit address on bus b, which stays
// the caller's. It touches nothing but the interrupt pin.
func New(b i2c.Bus, addr uint16, opts *Opts) (*Dev, error) {
	name := fmt.Sprintf("i2c(%s, 0x%02X)", b, addr)
	if addr < minAddr || addr > maxAddr {
		return nil, fmt.Errorf("%s: the address is not within 0x%02X and 0x%02X", name, minAddr, maxAddr)
	}
	options, err := opts.options(name)
	if err != nil {
		return nil, err
	}
	element, err := chipbus.New(&place{b, addr}, options)
	if err != nil {
		return nil, err
	}
	return &Dev{element}, nil
}

// PowerOn implements [drivers.SE].
func (d *Dev) PowerOn(ctx context.Context) ([]byte, error) { return d.element.PowerOn(ctx) }

// Reset implements [drivers.SE]. Without a reset pin a cold reset is a warm one.
func (d *Dev) Reset(ctx context.Context, kind drivers.ResetKind) ([]byte, error) {
	return d.element.Reset(ctx, kind)
}

// Transmit implements [drivers.SE].
func (d *Dev) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	return d.element.Transmit(ctx, command)
}

// PowerOff implements [drivers.SE]. With a reset pin the chip is held in reset;
// without, it is told that its use has ended; see Keeps.
func (d *Dev) PowerOff(ctx context.Context) error { return d.element.PowerOff(ctx) }

// Keeps implements [drivers.Keeper]: a chip without a reset pin keeps PIN states,
// unless its dialect has a reset of the whole chip (gp, nxp-gp).
func (d *Dev) Keeps() error { return d.element.Keeps() }

// String implements [drivers.SE]: "i2c(/dev/i2c-1, 0x48)".
func (d *Dev) String() string { return d.element.String() }

// haltTime bounds Halt.
const haltTime = 2 * time.Second

// Halt implements [conn.Resource]: it powers the chip off.
func (d *Dev) Halt() error {
	ctx, cancel := context.WithTimeout(context.Background(), haltTime)
	defer cancel()
	return d.element.PowerOff(ctx)
}

// Parameters are what the chip said about itself when it was powered on last,
// as it came: CIP or ATR.
func (d *Dev) Parameters() []byte { return append([]byte(nil), d.element.Identity().Raw...) }

// place is a chip's address on a bus. It implements [chipbus.Bus].
type place struct {
	bus  i2c.Bus
	addr uint16
}

func (p *place) Write(b []byte) error { return refused(p.bus.Tx(p.addr, b, nil)) }
func (p *place) Read(b []byte) error  { return refused(p.bus.Tx(p.addr, nil, b)) }

// Limit is the longest block of all dialects; the kernel takes more.
func (p *place) Limit() int { return 0 }

// SetClock does nothing: the clock is the system's.
func (p *place) SetClock(int64) error { return nil }

// refused marks a failed access as one that was not acknowledged. What ends
// the bus itself is told by the deadline.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(t1.ErrRefused, err)
}
