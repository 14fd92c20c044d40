//go:build linux

package main

import (
	"os"
	"slices"
	"strings"
)

// asked tells whether the kernel's command line has NAME=1.
func asked(name string) bool {
	text, err := os.ReadFile("/proc/cmdline")
	return err == nil && slices.Contains(strings.Fields(string(text)), name+"=1")
}
