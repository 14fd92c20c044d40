//go:build linux

package main

import (
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/input.h and linux/input-event-codes.h.
const (
	evKey    = 1
	keyPower = 116

	// EVIOCGBIT(EV_KEY, 32) and EVIOCGRAB.
	getKeys = 2<<30 | 32<<16 | 'E'<<8 | (0x20 + evKey)
	grab    = 1<<30 | 4<<16 | 'E'<<8 | 0x90

	eventSize = 24 // struct input_event of 64-bit systems
)

// buttons are the machine's power buttons.
type buttons struct{ pressed chan struct{} }

// grabPowerButtons takes the power buttons for itself, before gokrazy's
// library does, which would switch off without asking the TSES.
func grabPowerButtons(log *slog.Logger) *buttons {
	b := &buttons{pressed: make(chan struct{}, 1)}
	found, err := filepath.Glob("/dev/input/event*")
	if err != nil {
		log.Error("power buttons", "err", err)
	}
	for _, path := range found {
		f, err := os.Open(path)
		if err != nil {
			log.Warn("power button", "err", err)
			continue
		}
		if !isPowerButton(f) {
			// Only looked at.
			_ = f.Close()
			continue
		}
		if err := unix.IoctlSetInt(int(f.Fd()), grab, 1); err != nil {
			log.Warn("power button", "device", path, "err", err)
			continue
		}
		log.Info("power button", "device", path)
		go b.watch(f) // ends with the machine
	}
	return b
}

func isPowerButton(f *os.File) bool {
	var keys [32]byte
	_, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), getKeys, uintptr(unsafe.Pointer(&keys)))
	return e == 0 && keys[keyPower/8]&(1<<(keyPower%8)) != 0
}

func (b *buttons) watch(f *os.File) {
	event := make([]byte, eventSize)
	for {
		if n, err := f.Read(event); err != nil || n != eventSize {
			return // the device has gone
		}
		if isPress(event) {
			select {
			case b.pressed <- struct{}{}:
			default: // one is enough
			}
		}
	}
}

// isPress tells whether struct input_event says that the power button goes down.
func isPress(event []byte) bool {
	le := binary.LittleEndian
	return le.Uint16(event[16:]) == evKey && le.Uint16(event[18:]) == keyPower && le.Uint32(event[20:]) == 1
}
