package spi

import (
	"fmt"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// place is a chip's chip select. It implements [chipbus.Bus].
type place struct {
	conn  spi.Conn
	limit limiter // nil if the clock cannot change
	clock int64   // as set last, Hz

	most    int    // bytes in one access, 0 for any number
	zeros   []byte // what the host sends while it reads
	ignored []byte // what the chip sends while the host writes
}

func newPlace(c spi.Conn, limit limiter) *place {
	p := &place{conn: c, limit: limit}
	if limits, ok := c.(conn.Limits); ok {
		p.most = limits.MaxTxSize()
	}
	return p
}

func (p *place) Write(b []byte) error {
	if len(p.ignored) < len(b) {
		p.ignored = make([]byte, len(b))
	}
	return p.conn.Tx(b, p.ignored[:len(b)])
}

func (p *place) Read(b []byte) error {
	if len(p.zeros) < len(b) {
		p.zeros = make([]byte, len(b))
	}
	return p.conn.Tx(p.zeros[:len(b)], b)
}

func (p *place) Limit() int { return p.most }

func (p *place) SetClock(hz int64) error {
	if p.limit == nil || hz == p.clock {
		return nil
	}
	if err := p.limit.LimitSpeed(physic.Frequency(hz) * physic.Hertz); err != nil {
		return fmt.Errorf("clock of %d Hz: %w", hz, err)
	}
	p.clock = hz
	return nil
}
