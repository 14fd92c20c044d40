//go:build linux && boottest

package main

import (
	"os"
	"sync"
	"time"
)

var started = sync.OnceValue(time.Now)

// hang does not return any more after a while, when the kernel's command line
// asks for it: an init that hangs, and feeds no watchdog.
func hang() {
	if !asked("tses.starve") || time.Since(started()) < 5*time.Second {
		return
	}
	os.Stderr.WriteString("fault: init hangs\n")
	select {}
}
