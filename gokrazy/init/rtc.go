//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setRTC tells a real-time clock what NTP has told, if there is one: the kernel
// starts with its time the next time that the box is switched on.
func setRTC(now time.Time) error {
	f, err := os.Open("/dev/rtc0")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetRTCTime(int(f.Fd()), rtcTime(now)); err != nil {
		return fmt.Errorf("set %s: %w", f.Name(), err)
	}
	return nil
}

// rtcTime is struct rtc_time, in UTC.
func rtcTime(t time.Time) *unix.RTCTime {
	t = t.UTC()
	return &unix.RTCTime{
		Sec: int32(t.Second()), Min: int32(t.Minute()), Hour: int32(t.Hour()),
		Mday: int32(t.Day()), Mon: int32(t.Month()) - 1, Year: int32(t.Year()) - 1900,
	}
}
