package boottest

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// uefi is the firmware that comes with the packer, which uses it for virtual
// machines of its own.
func uefi(ctx context.Context, t testing.TB) (path string) {
	t.Helper()
	out, err := exec.CommandContext(ctx, "go", "list", "-C", filepath.Join("..", "tools"), "-m", "-f", "{{.Dir}}", "github.com/gokrazy/tools").Output()
	if err != nil {
		t.Fatalf("the packer's module: %v", err)
	}
	found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "third_party", "edk2-*", "QEMU_EFI.fd"))
	if err != nil || len(found) != 1 {
		t.Fatalf("UEFI firmware: found %q, %v", found, err)
	}
	return found[0]
}
