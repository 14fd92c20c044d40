package chipsim

import (
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

var (
	_ spi.PortCloser = (*SPIPort)(nil)
	_ spi.Conn       = (*spiConn)(nil)
	_ conn.Limits    = (*spiConn)(nil)
)

// SPIPort is a chip select with a chip behind it. It implements
// [spi.PortCloser].
type SPIPort struct {
	name string

	// turn is for one access at a time; a mutex would stop the time of a bubble.
	turn      chan struct{}
	chip      func() *Chip
	limit     int64 // of the port, Hz; 0 for none
	rated     int64 // as connected, Hz
	connected bool
}

// NewSPI makes a port with a chip.
func NewSPI(name string, c *Chip) *SPIPort { return NewSPIDecoded(name, func() *Chip { return c }) }

// NewSPIDecoded makes a port whose chip select goes to a decoder: chip tells
// which chip is selected as of now, nil for none.
func NewSPIDecoded(name string, chip func() *Chip) *SPIPort {
	return &SPIPort{name: name, turn: make(chan struct{}, 1), chip: chip}
}

// String implements [spi.Port].
func (p *SPIPort) String() string { return p.name }

// Close implements [spi.PortCloser].
func (p *SPIPort) Close() error { return nil }

// LimitSpeed implements [spi.PortCloser].
func (p *SPIPort) LimitSpeed(f physic.Frequency) error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if f <= 0 {
		return fmt.Errorf("chipsim: invalid speed %s", f)
	}
	p.limit = int64(f / physic.Hertz)
	return nil
}

// Connect implements [spi.Port].
func (p *SPIPort) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.connected {
		return nil, errors.New("chipsim: Connect can be called once")
	}
	if mode&^spi.NoCS != spi.Mode0 || bits != 8 || f <= 0 {
		return nil, fmt.Errorf("chipsim: a chip needs mode 0 and 8 bits, got %v and %d at %s", mode, bits, f)
	}
	p.connected, p.rated = true, int64(f/physic.Hertz)
	return &spiConn{p}, nil
}

// spiConn implements [spi.Conn].
type spiConn struct{ port *SPIPort }

func (s *spiConn) String() string      { return s.port.name }
func (s *spiConn) Duplex() conn.Duplex { return conn.Full }
func (s *spiConn) MaxTxSize() int      { return maxTx }
func (s *spiConn) TxPackets([]spi.Packet) error {
	return errors.New("chipsim: TxPackets is not simulated")
}

// maxTx is what Linux's spidev takes in one access.
const maxTx = 4096

// Tx implements [spi.Conn]. A buffer of zeros is a read: chips use the bus one
// direction at a time.
func (s *spiConn) Tx(w, r []byte) error {
	p := s.port
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if len(w) != len(r) || len(w) == 0 || len(w) > maxTx {
		return fmt.Errorf("chipsim: Tx of %d and %d bytes", len(w), len(r))
	}
	clock := p.rated
	if p.limit > 0 {
		clock = min(clock, p.limit)
	}
	c := p.chip()
	write := !zero(w) || c != nil && c.receiving()
	if c != nil {
		c.begin(write, len(w), clock)
	}
	start, wire := time.Now(), SPITime(len(w), clock)
	time.Sleep(wire)
	clear(r)
	if c == nil {
		return nil
	}
	found := false
	if write {
		c.write(w)
	} else {
		found = c.read(r, start, SPITime(1, clock))
	}
	c.finish(write, found, len(w), wire)
	return nil
}

func zero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// SPITime is how long n bytes take at a clock in Hz.
func SPITime(n int, clock int64) time.Duration {
	return time.Duration(int64(n*8) * int64(time.Second) / clock)
}
