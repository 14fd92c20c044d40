package cardsim

import (
	"io"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// pump connects a card to a stream of bytes in real time. What comes is put on
// the wire, and what the terminal's UART has received goes back, its own
// characters too.
type pump struct {
	*Slot
	stream io.ReadWriteCloser
	look   func()                // brings the mode of the UART up to date; the lock is held
	strip  func(b []byte) []byte // takes out what is not for the wire; nil for nothing

	kick chan struct{}
	quit chan struct{}
	wg   sync.WaitGroup
}

func newPump(slot *Slot, stream io.ReadWriteCloser) *pump {
	slot.wire.mode.Parity = iso7816.NoParity
	return &pump{Slot: slot, stream: stream, kick: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (p *pump) start() {
	p.wg.Go(p.receive)
	p.wg.Go(p.deliver)
}

// stop ends both goroutines.
func (p *pump) stop() error {
	close(p.quit)
	err := p.stream.Close()
	p.wg.Wait()
	return err
}

// SetVCC implements [iso7816.Contacts]. A break is not seen at the other end of
// a pseudo-terminal: I/O goes with the power.
func (p *pump) SetVCC(on bool) error {
	if !on {
		_ = p.Slot.SetBreak(true) // never fails
		return p.Slot.SetVCC(false)
	}
	_ = p.Slot.SetVCC(true) // never fails
	return p.Slot.SetBreak(false)
}

// SetRST implements [iso7816.Contacts].
func (p *pump) SetRST(high bool) error {
	p.mu.Lock()
	p.look()
	p.mu.Unlock()
	err := p.Slot.SetRST(high)
	p.wake()
	return err
}

// receive takes what the terminal writes until Close.
func (p *pump) receive() {
	buf := make([]byte, 4096)
	for {
		n, err := p.stream.Read(buf)
		if err != nil {
			return // Close, or the other end is gone
		}
		p.put(buf[:n])
		p.wake()
	}
}

func (p *pump) put(b []byte) {
	if p.strip != nil {
		b = p.strip(b)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look()
	p.advance(p.wire.now())
	p.wire.write(b, p.card.inverse)
}

func (p *pump) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// deliver hands characters to the terminal when their time has come, until
// Close.
func (p *pump) deliver() {
	for {
		out, next := p.due()
		if len(out) > 0 {
			if _, err := p.stream.Write(out); err != nil {
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
func (p *pump) due() (out []byte, next time.Duration) {
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
