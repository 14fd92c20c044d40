package wifi

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest/cardvm"
	"github.com/cloud-of-se/tses/internal/debian"
	"github.com/cloud-of-se/tses/internal/initrd"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/internal/vmlock"
)

// machineLife bounds the whole test. An emulated machine needs some two minutes.
const machineLife = 12 * time.Minute

// TestAccessPoints joins networks of a real hostapd over simulated radios
// (mac80211_hwsim), in a virtual machine with Debian's kernel. The machine's
// first process is this test program: [init] in guest_linux_test.go says what it
// does there.
func TestAccessPoints(t *testing.T) {
	needsMachine(t)
	kernel := debian.Kernel(t)
	hostapd := debian.Arm64(t, "hostapd", "libc6", "libnl-3-200", "libnl-genl-3-200", "libnl-route-3-200", "libssl3")
	files, err := initrd.Dir(hostapd, func(name string) bool {
		return name == guestHostapd[1:] || strings.Contains(path.Base(name), ".so") && !strings.Contains(name, "gconv")
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range kernel.Modules(t, "ccm", "ctr", "cmac", "mac80211_hwsim") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files[path.Join(guestModules[1:], fmt.Sprintf("%02d-%s", i, filepath.Base(file)))] = initrd.File{Data: data}
	}
	boot(t, kernel.Image, files, "station", len(scenarios))
}

// TestDrivers loads the drivers of a Raspberry Pi's chip into the SD card's own
// kernel, as its init does. There is no chip.
func TestDrivers(t *testing.T) {
	needsMachine(t)
	image := cardvm.Kernel(t)
	files, err := initrd.Dir(filepath.Dir(image), func(name string) bool {
		return strings.HasPrefix(name, ModulesDir[1:]) && strings.Contains(name, driverDir)
	})
	if err != nil || len(files) < len(drivers) {
		t.Fatalf("drivers of %s: %d, %v", image, len(files), err)
	}
	boot(t, image, files, "drivers", 1)
}

const qemu = "qemu-system-aarch64"

func needsMachine(t *testing.T) {
	t.Helper()
	needs.Asked(t, "boots a virtual machine")
	if _, err := exec.LookPath(qemu); err != nil {
		needs.Missing(t, qemu+" is missing: apt-get install qemu-system-arm")
	}
}

// boot runs a virtual machine with this program in a role, and judges what it
// tells.
func boot(t *testing.T, image string, files map[string]initrd.File, role string, results int) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(archive, initrd.Archive(cardvm.Build(t, "test", "-c", "."), files), 0o600); err != nil {
		t.Fatal(err)
	}
	vmlock.Take(t)
	ctx, cancel := context.WithTimeout(t.Context(), machineLife)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "512", "-nodefaults", "-display", "none",
		"-no-reboot", "-serial", "stdio", "-kernel", image, "-initrd", archive,
		"-append", "console=ttyAMA0 quiet panic=-1 rdinit=/init "+guestEnv+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	judge(t, out, results)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", qemu, err, &errs)
	}
}

// judge makes a subtest of each result that the machine tells.
func judge(t *testing.T, out io.Reader, results int) {
	t.Helper()
	var console strings.Builder
	told, ended := 0, false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(&console, line)
		if _, name, ok := strings.Cut(line, guestResult); ok {
			name, why, bad := strings.Cut(name, guestFailed)
			told++
			t.Run(name, func(t *testing.T) {
				if bad {
					t.Error(why)
				}
			})
		}
		if _, note, ok := strings.Cut(line, guestNote); ok {
			t.Log(note)
		}
		ended = ended || strings.Contains(line, guestEnd)
	}
	if err := lines.Err(); err != nil || !ended || told != results {
		t.Errorf("the machine told %d of %d results, and its end: %v, %v", told, results, ended, err)
	}
	if t.Failed() || testing.Verbose() {
		t.Logf("console:\n%s", &console)
	}
}
