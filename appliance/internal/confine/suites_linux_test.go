//go:build amd64 || arm64

package confine

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/internal/needs"
)

// suiteEnv names a program that the test program executes with the filter of
// system calls, and nothing else of a cage.
const suiteEnv = "TSES_TEST_SUITE"

// runFiltered executes a program that cannot execute another one well: that is
// let through for this once.
func runFiltered(program string) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	f := append(begin(), when(unix.SYS_EXECVE, allow())...)
	if err := filterSyscalls(append(f, filter()[len(begin()):]...)); err != nil {
		return err
	}
	return syscall.Exec(program, os.Args, append(os.Environ(), suiteEnv+"="))
}

// suites are the tests of what runs in the cage: a door, each driver, updates.
// With the race detector Go's runtime has a C library beside it, as in a build
// for the readers of a host.
var suites = []struct {
	path, run string
	race      bool
}{
	{"drivers/i2c", "TestConformance", false},
	{"drivers/spi", "TestConformance|TestVectors", false},
	{"drivers/iso7816", "TestConformance|TestTTY", false},
	{"drivers/softse", "TestConformance|TestStore|TestFresh", false},
	{"stp/racs/server", "TestBadRequests|TestRecordedSessions", true},
	{"update/server", "TestPut|TestLimit", false},
	{"access", "TestWatch|TestServerCertificate|TestKeyElsewhere", false},
}

// TestSuites runs them with the filter: a system call that is missing is found
// here and not on a box.
func TestSuites(t *testing.T) {
	for i, s := range suites {
		name := s.path
		if s.race {
			name += " race"
		}
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			if i > 0 {
				needs.Asked(t, "links the tests of "+s.path+"; those of drivers/i2c are run")
			}
			if _, err := exec.LookPath("gcc"); err != nil && s.race {
				needs.Missing(t, "needs gcc, for the race detector")
			}
			runSuite(t, s.path, s.run, s.race)
		})
	}
}

func runSuite(t *testing.T, path, run string, race bool) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("../../..", path))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "suite.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program)
	if race {
		build.Args = append(build.Args, "-race")
	}
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	suite := exec.CommandContext(t.Context(), exe, "-test.v", "-test.short", "-test.timeout=120s", "-test.run=^("+run+")")
	suite.Dir = dir
	suite.Env = append(os.Environ(), suiteEnv+"="+program, "TSES_TEST_ALL=")
	out, err := suite.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS") {
		t.Errorf("no test ran:\n%s", out)
	}
}
