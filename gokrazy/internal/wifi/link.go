//go:build linux

package wifi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/packet"
)

// link is an interface with what comes from it.
type link struct {
	radio  *radio
	log    *slog.Logger
	own    address
	ap     *bss
	sup    *supplicant // nil: an open network
	eapol  *packet.Conn
	notify *genetlink.Conn

	events  chan event
	frames  chan frame
	broken  chan error // a socket cannot be read any more
	closing chan struct{}
	readers sync.WaitGroup
}

// frame is one of EAPOL that came.
type frame struct {
	from  address
	eapol []byte
}

// close ends what open began.
func (l *link) close() {
	close(l.closing)
	// Closing ends reads. There is nothing to be done where it fails.
	if l.notify != nil {
		_ = l.notify.Close()
	}
	if l.eapol != nil {
		_ = l.eapol.Close()
	}
	l.readers.Wait()
	l.radio.close()
}

// readEvents hands on the interface's events until the socket is closed.
func (l *link) readEvents() {
	for {
		messages, _, err := l.notify.Receive()
		if err != nil {
			// Events that were lost, too, may have said that the connection was.
			l.broken <- fmt.Errorf("%w: events of nl80211: %w", ErrLost, err)
			return
		}
		for _, m := range messages {
			e, err := parseEvent(m.Header.Command, m.Data)
			if err != nil || e.index != l.radio.index {
				continue
			}
			select {
			case l.events <- e:
			case <-l.closing:
				return
			}
		}
	}
}

// readFrames hands on frames of EAPOL until the socket is closed.
func (l *link) readFrames() {
	buf := make([]byte, maxFrame+1)
	for {
		n, from, err := l.eapol.ReadFrom(buf)
		if err != nil {
			l.broken <- fmt.Errorf("%w: EAPOL frames: %w", ErrLost, err)
			return
		}
		a, ok := from.(*packet.Addr)
		if !ok || len(a.HardwareAddr) != len(address{}) {
			continue
		}
		select {
		case l.frames <- frame{address(a.HardwareAddr), slices.Clone(buf[:n])}:
		case <-l.closing:
			return
		}
	}
}

// hold keeps the connection, and its keys new, until it is lost, the context is
// done, or joined returns.
func (l *link) hold(ctx context.Context, joined func(context.Context, string) error) error {
	inner, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- joined(inner, l.radio.name) }()
	err, returned := l.keep(ctx, ended)
	cancel()
	if !returned {
		if own := <-ended; own != nil && !errors.Is(own, context.Canceled) {
			l.log.Debug("Wi-Fi: what ran on the connection", "err", own)
		}
	}
	return err
}

// keep tells too whether what runs on the connection has returned.
func (l *link) keep(ctx context.Context, ended <-chan error) (err error, returned bool) {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err(), false
		case err := <-ended:
			return err, true
		case err := <-l.broken:
			return err, false
		case f := <-l.frames:
			if err := l.handle(f); err != nil {
				return err, false
			}
		case e := <-l.events:
			if err := e.gone(l.radio.name); err != nil {
				return err, false
			}
		}
	}
}
