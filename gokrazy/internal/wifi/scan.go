//go:build linux

package wifi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// scans is how often is scanned before a network is said not to be heard: on a
// channel that is in use, an answer may come too late.
const scans = 2

// pick scans and picks an access point.
func (s *Station) pick(ctx context.Context, l *link) (*bss, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTime)
	defer cancel()
	var why error
	for range scans {
		if err := l.scan(ctx, s.Network.SSID); err != nil {
			return nil, fmt.Errorf("%s: scan: %w", l.radio.name, err)
		}
		heard, err := l.radio.heard()
		if err != nil {
			return nil, err
		}
		ap, err := choose(heard, s.Network)
		if err == nil {
			return ap, nil
		}
		why = fmt.Errorf("%s: %w", l.radio.name, err)
		if !errors.Is(err, ErrNotHeard) {
			break
		}
	}
	return nil, why
}

// scan asks for a scan and waits for its end. A radio that is busy, or whose
// scan is broken off, is asked again.
func (l *link) scan(ctx context.Context, ssid string) error {
	for {
		err := l.radio.triggerScan(ssid)
		switch {
		case err == nil:
			done, err := l.awaitScan(ctx)
			if done || err != nil {
				return err
			}
		case !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EAGAIN):
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the radio stays busy (%v): %w", err, ctx.Err())
		case err := <-l.broken:
			return err
		case <-l.events: // of the scan that keeps the radio busy
		case <-time.After(scanPause):
		}
	}
}

func (l *link) awaitScan(ctx context.Context) (done bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("the radio does not say that it is done: %w", ctx.Err())
		case err := <-l.broken:
			return false, err
		case e := <-l.events:
			switch e.command {
			case unix.NL80211_CMD_NEW_SCAN_RESULTS:
				return true, nil
			case unix.NL80211_CMD_SCAN_ABORTED:
				return false, nil
			case unix.NL80211_CMD_DEL_INTERFACE:
				return false, e.gone(l.radio.name)
			}
			// A disconnection is of an earlier life.
		}
	}
}
