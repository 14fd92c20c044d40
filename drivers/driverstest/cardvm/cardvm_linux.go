package cardvm

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/internal/initrd"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/internal/vmlock"
)

const qemu = "qemu-system-aarch64"

// Virt are the arguments of a machine that boots within seconds, and whose
// serial port Port is a PL011 without a console: /dev/ttyAMA0.
var Virt = []string{"-M", "virt", "-cpu", "cortex-a53", "-m", "256", "-nodefaults", "-serial", Port}

// Port is the argument of -serial for the port with the card.
const Port = "unix:port"

// Kernel is the file of the SD card's kernel. Without TSES_TEST_ALL=1 it skips
// the test; with it, what is missing is a failure.
func Kernel(t testing.TB) string {
	t.Helper()
	needs.Asked(t, "boots a virtual machine, needs "+qemu)
	if _, err := exec.LookPath(qemu); err != nil {
		t.Fatalf("needs %s: %v", qemu, err)
	}
	dir := goTells(t, ".", "list", "-m", "-f", "{{.Dir}}")
	dir = goTells(t, filepath.Join(dir, "gokrazy", "instance", "builddir"), "list", "-m", "-f", "{{.Dir}}", "github.com/gokrazy/kernel.rpi")
	kernel := filepath.Join(dir, "vmlinuz")
	if _, err := os.Stat(kernel); err != nil {
		t.Fatalf("needs the kernel of the SD card (go mod download in gokrazy/instance/builddir): %v", err)
	}
	return kernel
}

func goTells(t testing.TB, dir string, args ...string) string {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = dir, &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &errs)
	}
	return strings.TrimSpace(string(out))
}

// Build makes a program for the machine: args are those of the go command, such
// as build ./internal/guest, or test -c.
func Build(t testing.TB, args ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "guest")
	command := []string{args[0], "-o", file, "-ldflags=-s -w"}
	cmd := exec.Command("go", append(command, args[1:]...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// Guest is what is to be booted.
type Guest struct {
	Kernel  string            // its file
	Program []byte            // the first process and the only one
	Files   map[string][]byte // besides it, by their paths without the first slash
	Args    []string          // QEMU's, such as [Virt]; the machine's folder is the current one
	Append  string            // to the kernel's command line
	Card    cardsim.Options   // at [Port]
}

// Machine is a virtual machine that runs.
type Machine struct {
	// Notes are what the guest tells by [cardsim.StreamContacts.Note]. It must
	// be read, or the port stands still.
	Notes <-chan string

	// Ended is closed when QEMU has ended. A machine that is stopped has ended
	// too.
	Ended <-chan struct{}

	dir    string
	stop   context.CancelFunc
	stream *cardsim.Stream

	mu      sync.Mutex
	console bytes.Buffer
}

// Start boots the guest. The machine is stopped with the test, or when life is
// over. Other tests with a machine wait until the test ends.
func Start(t testing.TB, g Guest, life time.Duration) *Machine {
	t.Helper()
	vmlock.Take(t)
	notes, ended := make(chan string, 16), make(chan struct{})
	m := &Machine{Notes: notes, Ended: ended, dir: t.TempDir()}
	files := make(map[string]initrd.File)
	for name, data := range g.Files {
		files[name] = initrd.File{Data: data}
	}
	if err := os.WriteFile(m.File("initrd"), initrd.Archive(g.Program, files), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", m.File("port"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // closed already where QEMU has ended
	ctx, stop := context.WithTimeout(context.Background(), life)
	m.stop = stop
	cmd := exec.CommandContext(ctx, qemu, append(append([]string(nil), g.Args...), "-display", "none", "-no-reboot",
		"-kernel", g.Kernel, "-initrd", "initrd", "-append", "quiet panic=-1 rdinit=/init "+g.Append)...)
	cmd.Dir = m.dir // its whole path may have characters that QEMU takes for its own
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = (*console)(m), (*console)(m)
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()       // it was killed, or its console says why
		_ = listener.Close() // QEMU will not come any more
		close(ended)
	}()
	t.Cleanup(func() { m.end(t) })
	conn, err := listener.Accept()
	if err != nil {
		t.Fatalf("%s: %v\n%s", qemu, err, m.Console())
	}
	m.stream, err = cardsim.Attach(conn, g.Card, func(text string) {
		select {
		case notes <- text:
		case <-ended:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// end stops the machine and pulls the card.
func (m *Machine) end(t testing.TB) {
	m.stop()
	<-m.Ended
	if m.stream == nil {
		return
	}
	if err := m.stream.Close(); err != nil {
		t.Error(err)
	}
}

// File is a file's path in the machine's folder.
func (m *Machine) File(name string) string { return filepath.Join(m.dir, name) }

// Console is what QEMU has said.
func (m *Machine) Console() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.console.String()
}

// console writes to the machine's.
type console Machine

// Write implements [io.Writer].
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.console.Write(p)
}
