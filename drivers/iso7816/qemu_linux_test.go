package iso7816_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
)

// TestRealTTYDriver runs the driver in a virtual machine on the PL011 driver of
// the kernel that a Raspberry Pi boots, with the card at the far end of the
// port. QEMU has no timing and no parity bits, but the settings are those of
// the real driver, which would say if it could not do them.
func TestRealTTYDriver(t *testing.T) {
	kernel := needMachine(t)
	dir := t.TempDir()
	initrd := filepath.Join(dir, "initrd")
	if err := os.WriteFile(initrd, cpio("init", buildGuest(t, dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	virt := []string{"-M", "virt", "-cpu", "cortex-a53", "-m", "256", "-nodefaults", "-serial", "unix:port"}
	for _, tt := range []struct {
		name string
		args []string
		atr  []byte
		want string // as a pattern
	}{
		{"PL011, T=0", virt, cardsim.WithTA1(false, 0x11, 0, 0),
			"ATR 3B.*\nTTY 10323 bits/s, parity true, odd false, two stop bits true\nEND all well"},
		{"PL011, T=1, N=255", virt, cardsim.WithTA1(false, 0x97, 255, 1),
			"ATR 3B.*\nTTY 480000 bits/s, parity true, odd false, two stop bits false\nEND all well"},
		{"mini UART", []string{"-M", "raspi3b", "-dtb", filepath.Join(filepath.Dir(kernel), "bcm2710-rpi-3-b.dtb"), "-serial", "null", "-serial", "unix:port"},
			cardsim.WithTA1(false, 0, 0, 0), "END .*the UART has no parity.*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := "/dev/ttyAMA0"
			if tt.name == "mini UART" {
				port = "/dev/ttyS0"
			}
			args := append(slices.Clone(tt.args), "-display", "none", "-no-reboot", "-kernel", kernel, "-initrd", initrd,
				"-append", "console=none quiet panic=-1 rdinit=/init -- "+port)
			notes := boot(t, args, cardsim.Options{Brain: script(driverstest.TestCard), ATR: tt.atr})
			if got := strings.Join(notes, "\n"); !regexp.MustCompile("^" + tt.want + "$").MatchString(got) {
				t.Errorf("the guest says\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// needMachine is the kernel's file. The test takes some ten seconds: it is left
// out unless all tests are asked for.
func needMachine(t *testing.T) string {
	t.Helper()
	if os.Getenv("TSES_TEST_ALL") != "1" {
		t.Skip("boots a virtual machine, needs qemu-system-aarch64: TSES_TEST_ALL=1 runs it")
	}
	if _, err := exec.LookPath("qemu-system-aarch64"); err != nil {
		t.Fatalf("needs qemu-system-aarch64: %v", err)
	}
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gokrazy/kernel.rpi")
	list.Dir = filepath.Join("..", "..", "gokrazy", "instance", "builddir")
	out, err := list.Output()
	kernel := filepath.Join(strings.TrimSpace(string(out)), "vmlinuz")
	if _, statErr := os.Stat(kernel); err != nil || statErr != nil {
		t.Fatalf("needs the kernel of the SD card (go mod download in gokrazy/instance/builddir): %v, %v", err, statErr)
	}
	return kernel
}

func buildGuest(t *testing.T, dir string) []byte {
	t.Helper()
	path := filepath.Join(dir, "guest")
	build := exec.Command("go", "build", "-o", path, "./internal/guest")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// boot runs the guest to its end and returns what it has told.
func boot(t *testing.T, args []string, card cardsim.Options) (notes []string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "port")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var console bytes.Buffer
	machine := exec.CommandContext(ctx, "qemu-system-aarch64", args...)
	machine.Dir = filepath.Dir(socket) // its whole path may have characters that QEMU takes for its own
	machine.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	machine.Stdout, machine.Stderr = &console, &console
	if err := machine.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() {
		exited <- machine.Wait()
		_ = listener.Close() // QEMU will not come any more
	}()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatalf("QEMU: %v: %s", <-exited, &console)
	}
	told := make(chan string, 16)
	s, err := cardsim.Attach(conn, card, func(text string) { told <- text })
	if err != nil {
		t.Fatal(err)
	}
	for ended := false; !ended; {
		select {
		case text := <-told:
			notes = append(notes, text)
			ended = strings.HasPrefix(text, "END ")
		case err := <-exited:
			t.Errorf("QEMU ended early: %v: %s", err, &console)
			exited <- err
			ended = true
		}
	}
	cancel()
	<-exited // it was killed
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return notes
}

// cpio is an archive of one executable file in the form that the kernel takes
// for its first root file system ("newc").
func cpio(name string, content []byte) []byte {
	var b bytes.Buffer
	entry := func(name string, mode, major, minor int, content []byte) {
		fmt.Fprintf(&b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
			1, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0)
		b.WriteString(name + "\x00")
		pad(&b)
		b.Write(content)
		pad(&b)
	}
	entry("dev", 0o040755, 0, 0, nil)
	entry("dev/null", 0o020666, 1, 3, nil) // what a Go program without a console begins with
	entry(name, 0o100755, 0, 0, content)
	entry("TRAILER!!!", 0, 0, 0, nil)
	return b.Bytes()
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
