package boottest

import (
	"os/exec"
	"testing"

	"github.com/cloud-of-se/tses/internal/needs"
)

// program finds QEMU.
func program(t testing.TB) string {
	t.Helper()
	const name = "qemu-system-aarch64"
	path, err := exec.LookPath(name)
	if err != nil {
		needs.Missing(t, name+" is missing: apt-get install qemu-system-arm")
	}
	return path
}
