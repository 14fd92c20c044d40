package pcsclite

import (
	"context"
	"fmt"
)

// transmit sends one command of h to the card.
func (r *Reader) transmit(ctx context.Context, h *handle, p Protocol, command []byte) ([]byte, error) {
	for {
		if err := r.mayTransmit(ctx, h, p); err != nil {
			return nil, err
		}
		if err := r.acquire(ctx); err != nil {
			return nil, err
		}
		r.srv.mu.Lock()
		again := r.lock != nil && r.lock != h || h.lost != Success
		r.srv.mu.Unlock()
		if !again {
			break
		}
		r.release() // a transaction began, or a reset came, while we stood in line
	}
	defer r.release()
	r.srv.mu.Lock()
	on := r.powered()
	r.srv.mu.Unlock()
	if !on { // its own disposition took the power away
		if err := r.powerOn(r.card.PowerOn); err != nil {
			return nil, err
		}
	}
	var response []byte
	err := r.call("transmit", func(ctx context.Context) (err error) {
		response, err = r.card.Transmit(ctx, command)
		if err == nil && len(response) > MaxTransfer {
			return fmt.Errorf("a response of %d bytes, the most are %d", len(response), MaxTransfer)
		}
		return err
	}, func() {})
	return response, err
}

// mayTransmit checks what can be checked before standing in line.
func (r *Reader) mayTransmit(ctx context.Context, h *handle, p Protocol) error {
	if err := r.usable(ctx, h); err != nil {
		return err
	}
	defer r.srv.mu.Unlock()
	switch {
	case r.state.Status&Absent != 0:
		return ENoSmartcard
	case h.share == Direct:
		return EProtoMismatch // no protocol was agreed on
	case p != r.state.Protocol && p&anyOld == 0 && r.state.Protocol != 0:
		return EProtoMismatch
	}
	return nil
}
