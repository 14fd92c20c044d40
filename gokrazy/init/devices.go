//go:build linux

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// nodes are the devices that chips hang on. What the TSES needs of /dev/mem it
// opens while it is still root.
var nodes = []string{
	"/dev/spidev*", "/dev/i2c-*", "/dev/gpiochip*",
	"/dev/ttyAMA*", "/dev/ttyS[0-9]*", "/dev/ttyUSB*", "/dev/ttyACM*",
}

// tendDevices gives devices to the TSES as they come, until the context is done.
func (b *box) tendDevices(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := ""
	for {
		if err := giveDevices(); err != nil && err.Error() != told {
			told = err.Error()
			b.log.Warn("devices", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func giveDevices() error {
	kept := consoles()
	var errs []error
	for _, pattern := range nodes {
		found, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, path := range found {
			if slices.Contains(kept, filepath.Base(path)) {
				continue
			}
			// A node that has gone meanwhile is no failure.
			if err := giveOne(path); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// consoles are the terminals that the kernel writes to.
func consoles() []string {
	text, err := os.ReadFile("/sys/class/tty/console/active")
	if err != nil {
		return nil // there is none
	}
	return strings.Fields(string(text))
}

// give makes all that is in a directory the TSES's.
func give(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return giveOne(path)
	})
}

// giveOne leaves alone what is the TSES's already, and files that have another
// name somewhere else.
func giveOne(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == sdcard.UID && st.Gid == sdcard.UID || info.Mode().IsRegular() && st.Nlink > 1 || info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	return os.Lchown(path, sdcard.UID, sdcard.UID)
}

func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
