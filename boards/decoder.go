package boards

import (
	"errors"
	"fmt"
	"io"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	periphspi "periph.io/x/conn/v3/spi"

	"github.com/cloud-of-se/tses/drivers/spi"
)

// decoder is one that is open. Its chips share it: a chip select is connected
// to once.
type decoder struct {
	*spi.Decoder
	port  periphspi.PortCloser
	users int
}

// output is a chip's port of its decoder, which is opened for its first chip
// and closed with its last.
func (b *Board) output(p *plan, ports Ports) (periphspi.Port, io.Closer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := p.decoder()
	d := b.decoders[name]
	if d == nil {
		var err error
		if d, err = p.openDecoder(ports); err != nil {
			return nil, nil, err
		}
		if b.decoders == nil {
			b.decoders = make(map[string]*decoder)
		}
		b.decoders[name] = d
	}
	d.users++
	done := closeFunc(func() error { return b.leave(name) })
	port, err := d.Port(p.Output)
	if err != nil {
		return nil, nil, errors.Join(err, b.left(name))
	}
	return port, done, nil
}

// allClocks is the fastest that any bus here does.
const allClocks = 125 * physic.MegaHertz

// openDecoder connects to the chip select and takes the pins.
func (p *plan) openDecoder(ports Ports) (*decoder, error) {
	opts := spi.DecoderOpts{EnableActive: p.Enable.Active, MaxClock: allClocks} // each chip has its own
	out := func(pin Pin) (gpio.PinOut, error) {
		o, err := ports.Out(pin)
		if err != nil {
			return nil, fmt.Errorf("decoder: %w", err)
		}
		return o, nil
	}
	for _, pin := range p.Decoder {
		o, err := out(pin)
		if err != nil {
			return nil, err
		}
		opts.Address = append(opts.Address, o)
	}
	if p.Enable.Wired() {
		var err error
		if opts.Enable, err = out(p.Enable.Pin); err != nil {
			return nil, err
		}
	}
	port, err := ports.SPI(p.deviceFile())
	if err != nil {
		return nil, err
	}
	d, err := spi.NewDecoder(port, &opts)
	if err != nil {
		return nil, errors.Join(err, port.Close())
	}
	return &decoder{Decoder: d, port: port}, nil
}

// leave is for a chip that is closed.
func (b *Board) leave(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left(name)
}

// left is leave for who has the lock.
func (b *Board) left(name string) error {
	d := b.decoders[name]
	if d.users--; d.users > 0 {
		return nil
	}
	delete(b.decoders, name)
	return d.port.Close()
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }
