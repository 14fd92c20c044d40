package spi

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// DecoderOpts describe a decoder of chip selects.
type DecoderOpts struct {
	// Address are the decoder's address inputs, the lowest bit first; 4 pins
	// choose one of 16 chips.
	Address []gpio.PinOut

	// Enable is the decoder's enable input. Nil says that the port's own chip
	// select goes there.
	Enable       gpio.PinOut
	EnableActive gpio.Level

	// MaxClock is the highest clock that the wires can do; 0 for 10 MHz.
	MaxClock physic.Frequency
}

// maxAddressPins bounds a decoder to 256 chips.
const maxAddressPins = 8

// Decoder is a port with several chips, of which a decoder selects one. Each
// output is a port of its own for [New]; their accesses do not overlap, and
// while one chip works the others are spoken to.
type Decoder struct {
	port  spi.Port
	opts  DecoderOpts
	conn  spi.Conn
	limit limiter

	turn     chan struct{} // one access at a time
	selected int           // output that the address pins choose, -1 for none yet
	clock    physic.Frequency
}

// NewDecoder makes a decoder behind port p, which stays the caller's, and
// connects to the port.
func NewDecoder(p spi.Port, opts *DecoderOpts) (*Decoder, error) {
	if n := len(opts.Address); n == 0 || n > maxAddressPins {
		return nil, fmt.Errorf("spi(%s): a decoder with %d address pins: 1 to %d", p, n, maxAddressPins)
	}
	d := &Decoder{port: p, opts: *opts, turn: make(chan struct{}, 1), selected: -1}
	if d.opts.MaxClock <= 0 {
		d.opts.MaxClock = DefaultOpts.MaxClock
	}
	d.limit, _ = p.(limiter)
	mode := spi.Mode0
	if opts.Enable != nil {
		mode |= spi.NoCS
		if err := opts.Enable.Out(!opts.EnableActive); err != nil {
			return nil, fmt.Errorf("spi(%s): enable pin %s: %w", p, opts.Enable, err)
		}
	}
	var err error
	if d.conn, err = p.Connect(d.opts.MaxClock, mode, 8); err != nil {
		return nil, fmt.Errorf("spi(%s): %w", p, err)
	}
	return d, nil
}

// Port is output n, from 0 on, as a port. Each has one chip.
func (d *Decoder) Port(n int) (spi.Port, error) {
	if n < 0 || n >= 1<<len(d.opts.Address) {
		return nil, fmt.Errorf("spi(%s): output %d of a decoder with %d", d.port, n, 1<<len(d.opts.Address))
	}
	return &output{decoder: d, n: n, clock: d.opts.MaxClock}, nil
}

// choose selects an output at a clock. The address pins change while no chip is
// enabled.
func (d *Decoder) choose(n int, clock physic.Frequency) error {
	if d.limit != nil && clock != d.clock {
		if err := d.limit.LimitSpeed(clock); err != nil {
			return fmt.Errorf("clock of %s: %w", clock, err)
		}
		d.clock = clock
	}
	if n == d.selected {
		return nil
	}
	d.selected = -1
	for bit, pin := range d.opts.Address {
		if err := pin.Out(n>>bit&1 != 0); err != nil {
			return fmt.Errorf("address pin %s: %w", pin, err)
		}
	}
	d.selected = n
	return nil
}

// tx is one access to output n.
func (d *Decoder) tx(n int, clock physic.Frequency, w, r []byte) error {
	d.turn <- struct{}{} // for one access at the most
	defer func() { <-d.turn }()
	if err := d.choose(n, clock); err != nil {
		return err
	}
	enable := d.opts.Enable
	if enable == nil {
		return d.conn.Tx(w, r)
	}
	if err := enable.Out(d.opts.EnableActive); err != nil {
		return fmt.Errorf("enable pin %s: %w", enable, err)
	}
	err := d.conn.Tx(w, r)
	if offErr := enable.Out(!d.opts.EnableActive); offErr != nil {
		return errors.Join(err, fmt.Errorf("enable pin %s: %w", enable, offErr))
	}
	return err
}

// output is one output of a decoder. It implements [spi.Port] and [spi.Conn].
type output struct {
	decoder *Decoder
	n       int
	clock   physic.Frequency
}

var (
	_ spi.Port    = (*output)(nil)
	_ spi.Conn    = (*output)(nil)
	_ conn.Limits = (*output)(nil)
	_ limiter     = (*output)(nil)
)

// String implements [spi.Port]: "SPI0.0/3".
func (o *output) String() string { return fmt.Sprintf("%s/%d", o.decoder.port, o.n) }

// LimitSpeed sets the clock for this output.
func (o *output) LimitSpeed(f physic.Frequency) error {
	o.clock = min(f, o.decoder.opts.MaxClock)
	return nil
}

// Connect implements [spi.Port].
func (o *output) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	if mode != spi.Mode0 || bits != 8 {
		return nil, fmt.Errorf("a decoder's output has mode 0 and 8 bits, not %v and %d", mode, bits)
	}
	return o, o.LimitSpeed(f)
}

// Duplex implements [conn.Conn].
func (o *output) Duplex() conn.Duplex { return conn.Full }

// MaxTxSize implements [conn.Limits].
func (o *output) MaxTxSize() int {
	if limits, ok := o.decoder.conn.(conn.Limits); ok {
		return limits.MaxTxSize()
	}
	return 0
}

// Tx implements [conn.Conn].
func (o *output) Tx(w, r []byte) error { return o.decoder.tx(o.n, o.clock, w, r) }

// TxPackets implements [spi.Conn] for single packets, which is all that this
// package needs.
func (o *output) TxPackets(p []spi.Packet) error {
	if len(p) != 1 || p[0].KeepCS {
		return errors.New("a decoder's output takes one packet at a time")
	}
	return o.Tx(p[0].W, p[0].R)
}
