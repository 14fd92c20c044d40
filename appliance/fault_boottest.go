//go:build boottest && linux

package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// misbehave does what the kernel's command line asks for, a while after the
// TSES is ready, each time that it is started: tses.fault=crash ends it, and
// tses.fault=hang stops all that it does.
func misbehave() {
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return
	}
	after := func(do func()) {
		time.AfterFunc(4*time.Second, func() {
			os.Stderr.WriteString("fault: as the command line asks\n")
			do()
		})
	}
	words := strings.Fields(string(text))
	switch {
	case slices.Contains(words, "tses.fault=crash"):
		after(func() { panic("fault: crash") })
	case slices.Contains(words, "tses.fault=hang"):
		after(func() { _ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) }) // it is the fault
	}
}
