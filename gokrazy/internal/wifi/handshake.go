//go:build linux

package wifi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
)

// shake has the 4-way handshake, after which data may pass.
func (l *link) shake(ctx context.Context) error {
	late := time.After(handshakeTime)
	for !l.sup.joined() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return l.notAccepted(fmt.Errorf("%w: %q: the 4-way handshake was not finished within %v", ErrRefused, l.ap.ssid, handshakeTime))
		case err := <-l.broken:
			return err
		case f := <-l.frames:
			if err := l.handle(f); err != nil {
				return err
			}
		case e := <-l.events:
			if err := e.gone(l.radio.name); err != nil {
				return l.notAccepted(err)
			}
		}
	}
	return nil
}

// manyFirst is how often an access point repeats message 1 before it is clear
// that it does not like message 2.
const manyFirst = 3

// notAccepted is the error of a handshake that came to nothing. A wrong
// passphrase makes a wrong integrity code of message 2, which an access point
// does not answer; after some repetitions it ends the connection.
func (l *link) notAccepted(err error) error {
	var lost *lostError
	told := errors.As(err, &lost) && slices.Contains([]uint16{2, 14, 15, 23}, lost.reason)
	if l.sup.answered >= manyFirst || l.sup.answered > 0 && told || l.sup.badMICs > 0 {
		return fmt.Errorf("%w by %q; is it written right? (%w)", ErrPassphrase, l.ap.ssid, err)
	}
	return err
}

// handle gives a frame to the supplicant and does what it says.
func (l *link) handle(f frame) error {
	if f.from != l.ap.address {
		return nil
	}
	steps, err := l.sup.handle(f.eapol)
	if errors.Is(err, errDropped) {
		l.log.Debug("Wi-Fi", "interface", l.radio.name, "err", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %q: %w", l.radio.name, l.ap.ssid, err)
	}
	for _, s := range steps {
		if s.install == nil {
			err = l.send(s.send)
		} else if err = l.radio.install(l.ap, s.install); err == nil {
			l.log.Debug(keyInstalled, "interface", l.radio.name, "pairwise", s.install.pairwise, "index", s.install.index)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keyInstalled is what the log says; tests count it.
const keyInstalled = "Wi-Fi: key installed"

func (l *link) send(frame []byte) error {
	err := l.eapol.SetWriteDeadline(time.Now().Add(sendTime))
	if err == nil {
		_, err = l.eapol.WriteTo(frame, &packet.Addr{HardwareAddr: l.ap.address[:]})
	}
	if errors.Is(err, syscall.ENOBUFS) {
		return nil // the access point will ask again
	}
	if err != nil {
		return fmt.Errorf("%s: send EAPOL: %w", l.radio.name, err)
	}
	return nil
}
