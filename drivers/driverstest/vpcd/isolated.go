//go:build linux

package vpcd

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/internal/needs"
)

const (
	// insideVar is set in the process that has namespaces of its own.
	insideVar = "TSES_TEST_VPCD_INSIDE"

	// insideTime bounds one isolated test.
	insideTime = 3 * time.Minute

	pcscd      = "/usr/sbin/pcscd"
	driversDir = "/usr/lib/pcsc/drivers"
	vpcdDriver = driversDir + "/serial/libifdvpcd.so"
)

// Isolated tells whether the test runs in namespaces of its own. Where it does
// not, it runs the same test so in another process and takes over its result;
// the caller has then nothing left to do. Without root, pcscd or vpcd the test
// is skipped, or fails where TSES_TEST_ALL asks for all. It is for top-level
// tests, which it lets run in parallel: each mostly waits for its pcscd.
func Isolated(t testing.TB) bool {
	t.Helper()
	if os.Getenv(insideVar) == "1" {
		if err := isolate(); err != nil {
			t.Fatalf("isolation: %v", err)
		}
		return true
	}
	if what := missing(); what != "" {
		needs.Missing(t, what+" is missing")
	}
	if t, ok := t.(*testing.T); ok {
		t.Parallel()
	}
	rerun(t)
	return false
}

// missing names what the host has not.
func missing() string {
	if os.Geteuid() != 0 {
		return "root, which namespaces of one's own need,"
	}
	for file, pkg := range map[string]string{pcscd: "pcscd", vpcdDriver: "vsmartcard-vpcd"} {
		if _, err := os.Stat(file); err != nil {
			return fmt.Sprintf("%s (Debian package %s)", file, pkg)
		}
	}
	return ""
}

// rerun runs this test alone in a process with a new mount and network
// namespace.
func rerun(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), insideTime)
	defer cancel()
	args := []string{"-test.v", "-test.count=1", "-test.timeout=" + (insideTime - 5*time.Second).String()}
	inherit := []string{"test.short"}
	if b, ok := t.(*testing.B); ok {
		if b.N > 1 {
			return // it has run, and what it measured is said
		}
		args = append(args, "-test.run=^$")
		inherit = append(inherit, "test.bench", "test.benchtime")
	} else {
		args = append(args, "-test.run=^"+t.Name()+"$")
	}
	for _, name := range inherit {
		if f := flag.Lookup(name); f != nil {
			args = append(args, "-"+name+"="+f.Value.String())
		}
	}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in its own namespaces: %v\n%s", err, out)
	}
	t.Logf("in its own namespaces:\n%s", out)
}

// isolate makes the namespaces of this process the test's own: nothing that is
// mounted here is seen outside, /run and pcscd's drivers are empty, and there
// is a loopback. It does so once.
func isolate() error {
	const done = "/run/tses-isolated"
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	driver, err := os.ReadFile(vpcdDriver)
	if err != nil {
		return err
	}
	for _, dir := range []string{"/run", driversDir} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("tmpfs on %s: %w", dir, err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(vpcdDriver), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(vpcdDriver, driver, 0o755); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return os.WriteFile(done, nil, 0o600)
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
