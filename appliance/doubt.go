package main

import (
	"log/slog"
	"os"
	"sync"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// newDoubt tells whether this machine's clock is known to be set. Elsewhere
// than on an SD card it is taken to be. The log hears of it at the start and
// when it changes.
func newDoubt(log *slog.Logger) func() bool {
	path, ok := os.LookupEnv(sdcard.ClockEnv)
	if !ok {
		return nil
	}
	var (
		mu  sync.Mutex
		set bool // never unset again
	)
	doubtful := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if set {
			return false
		}
		state, err := sdcard.ReadClockState(path)
		if err != nil {
			log.Warn("the state of the clock cannot be read; it is taken for not set", "err", err)
		}
		if set = state == sdcard.ClockSet; set {
			log.Info("the clock is set: certificates are judged by it")
		}
		return !set
	}
	if doubtful() {
		log.Warn("the clock is not set: of the dates of certificates it is judged only whether they had ended before the last known time; an NTP server or a real-time clock cures that")
	}
	return doubtful
}
