//go:build linux && boottest

package trial

import (
	"context"
	"os"
	"slices"
	"strings"
)

// misbehave waits for ever when the kernel's command line asks for it: an
// update that never judges itself.
func misbehave(ctx context.Context) {
	text, err := os.ReadFile("/proc/cmdline")
	if err == nil && slices.Contains(strings.Fields(string(text)), "tses.fault=forget") {
		<-ctx.Done()
	}
}
