//go:build linux

package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/internal/clock"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// clockFile keeps what is known of the time. It is not in the state directory,
// which is the TSES's. oldClockFile is where older boxes have kept what their clock
// was, which any forged answer could make the earliest time for ever.
const (
	clockFile    = "/perm/clock/floor"
	oldClockFile = "/perm/clock/time"
)

func (b *box) startClock() error {
	b.clock = &clock.Clock{
		Built: b.build.Time, File: clockFile, Servers: b.config.Network.NTP, Others: b.config.Network.OtherNTP(), Log: b.log,
		Trial: func() bool {
			if b.trying != nil {
				return b.trying()
			}
			return b.onTrial()
		},
		Changed: func(s clock.State, evidence time.Time) {
			if err := sdcard.WriteClock(sdcard.ClockFile, sdcard.Clock{State: told(s), Evidence: evidence}); err != nil {
				b.log.Error("the TSES does not hear of the clock", "err", err)
			}
		},
		Synced: func(now time.Time) {
			if err := setRTC(now); err != nil {
				b.log.Warn("real-time clock", "err", err)
			}
		},
	}
	if !b.onTrial() { // what it would go back to would miss it
		if err := os.Remove(oldClockFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			b.log.Warn("clock", "err", err)
		}
	}
	return b.clock.Start()
}

// told is the word for the TSES.
func told(s clock.State) sdcard.ClockState {
	switch s {
	case clock.Proven:
		return sdcard.ClockSet
	case clock.Told, clock.RTC:
		return sdcard.ClockTold
	}
	return sdcard.ClockFloor
}

// lookAtShown takes the certificate that the TSES shows for evidence, if it is.
func (b *box) lookAtShown() {
	begins, err := shownTime(filepath.Join(sdcard.StateDir, sdcard.ShownFile), ownerFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		if err.Error() != b.lastShown {
			b.lastShown = err.Error()
			b.log.Warn("clock: what the TSES shows is no evidence", "err", err)
		}
	default:
		b.clock.Evidence(begins, "an access credential")
	}
}

var errShown = errors.New("no access credential of the owner's")

// shownTime is when a certificate begins that the TSES shows. The file is the
// TSES's, and whoever has broken into it can put anything there: a link, a pipe,
// what has no end. What counts is that the owner's CA has signed it itself, for a
// client: the box's own CA is in the TSES's reach, and could sign what it likes.
func shownTime(path, ownerFile string) (begins time.Time, err error) {
	der, err := statefile.Left(sdcard.MaxShown).Read(path)
	if err != nil {
		return begins, err
	}
	text, err := os.ReadFile(ownerFile)
	if err != nil {
		return begins, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return begins, fmt.Errorf("no PEM in %s", ownerFile)
	}
	owner, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return begins, fmt.Errorf("%s: %w", ownerFile, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return begins, fmt.Errorf("%w: %w", errShown, err)
	}
	if err := cert.CheckSignatureFrom(owner); err != nil {
		return begins, fmt.Errorf("%w: %w", errShown, err)
	}
	if cert.IsCA || !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return begins, fmt.Errorf("%w: it is not for a client", errShown)
	}
	return cert.NotBefore, nil
}
