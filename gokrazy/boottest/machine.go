// Package boottest boots the image of an SD card in QEMU: the same kernel and
// the same root file system that a Raspberry Pi boots, in emulation alone.
//
// What it cannot show is the way from the boot ROM to the kernel, since QEMU
// starts the kernel itself: it is taken from the image, and its command line
// too but for the console.
package boottest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/vmlock"
)

// Board is a machine that QEMU emulates.
type Board int

const (
	// Virt is QEMU's own board with two Cortex-A53 and 256 MiB: the fastest.
	Virt Board = iota
	// Pi3 is a Raspberry Pi 3 with its SD card, its USB and its device tree. It
	// starts slowly, and its Ethernet hangs on USB, other than a real one's.
	Pi3
	// UEFI is QEMU's board with UEFI, which starts the kernel through the boot
	// loader of the card's boot partition: nothing is taken from the card here.
	UEFI
)

// Options say how a card is booted.
type Options struct {
	Card  *Card
	Board Board
	// Disk is the image that is booted and written to; "" is the card's own,
	// and what is written is dropped.
	Disk string
	// Append is added to the kernel's command line.
	Append []string
	// Args are more arguments of QEMU.
	Args []string
	// Life is how long the machine may run; zero is five minutes.
	Life time.Duration
	// NoNetwork leaves out the network interface.
	NoNetwork bool
	// Kernel and Initrd are files to boot in the place of the card's own kernel:
	// what is first then enters the card's root file system. Of Virt.
	Kernel, Initrd string
	// Port is a socket that a Pi3's first UART is connected to, where one waits
	// for it: a card reader's place. The card's config.txt decides who has it.
	Port string

	firmware string // of UEFI
}

// Machine is a running QEMU.
type Machine struct {
	Began time.Time // when QEMU was started

	card    *Card
	addr    string // that is forwarded to RACS in the machine
	cmd     *exec.Cmd
	console *console
	dir     string // temporary
	ended   chan struct{}
	err     error // of QEMU, when ended is closed
}

// guestPort is where the box listens.
const guestPort = "7777"

// Start boots a card. The machine ends with the test, when the context is done,
// or behind its life. Other tests with a machine, in this process and in others, wait.
func Start(ctx context.Context, t testing.TB, o Options) *Machine {
	t.Helper()
	qemu := program(t)
	free := vmlock.Take(t)
	m := &Machine{card: o.Card, console: newConsole(), ended: make(chan struct{}), dir: t.TempDir()}
	if o.Board == Pi3 {
		if o.Disk == "" {
			o.Disk = o.Card.Copy(t)
		}
		// QEMU's SD cards have powers of two. What is beyond the image is as on
		// a real card: not used.
		if err := os.Truncate(o.Disk, sdSize); err != nil {
			t.Fatal(err)
		}
	}
	if o.Board == UEFI {
		o.firmware = uefi(ctx, t)
	}
	args, err := m.arguments(o)
	if err != nil {
		t.Fatal(err)
	}
	life := o.Life
	if life == 0 {
		life = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, life)
	t.Cleanup(cancel)
	m.cmd = exec.CommandContext(ctx, qemu, args...)
	m.cmd.Stdout, m.cmd.Stderr = m.console, m.console
	m.cmd.SysProcAttr = dieWithParent()
	m.cmd.WaitDelay = 5 * time.Second
	m.Began = time.Now()
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		m.err = m.cmd.Wait()
		free()
		close(m.ended)
	}()
	t.Cleanup(func() {
		m.PowerCut()
		if t.Failed() {
			t.Logf("console:\n%s", m.console)
		}
	})
	return m
}

// sdSize is that of the emulated SD card in bytes.
const sdSize = 2 << 30

func (m *Machine) arguments(o Options) ([]string, error) {
	disk := o.Disk
	if disk == "" {
		disk = o.Card.Image
	}
	cmdline, err := firmware(disk, m.dir, o)
	if err != nil {
		return nil, err
	}
	args := []string{"-no-reboot", "-display", "none", "-monitor", "none", "-qmp", "unix:" + m.monitor() + ",server=on,wait=off"}
	drive := "format=raw,file=" + disk
	if o.Disk == "" {
		drive += ",snapshot=on"
	}
	nic := ""
	switch o.Board {
	case Virt:
		cmdline = append(cmdline, "console=ttyAMA0,115200")
		nic = "virtio-net-pci,netdev=net,romfile="
		args = append(args, "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "256", "-serial", "stdio",
			"-drive", "if=none,id=card,"+drive, "-device", "virtio-blk-pci,drive=card", "-device", "virtio-balloon-pci,id=balloon")
	case Pi3:
		// The console is on the second UART, which a card that is told so would
		// not have. QEMU's watchdog resets the machine when Linux looks at it. An
		// address without the local bit makes it eth0.
		port := "null"
		if o.Port != "" {
			port = "unix:" + o.Port
		}
		cmdline = append(cmdline, "console=ttyS0,115200", "8250.nr_uarts=1", "initcall_blacklist=bcm2835_wdt_driver_init")
		nic = "usb-net,netdev=net,mac=50:54:00:12:34:57"
		args = append(args, "-M", "raspi3b", "-serial", port, "-serial", "stdio", "-dtb", filepath.Join(m.dir, treeFile), "-drive", "if=sd,"+drive)
	case UEFI:
		nic = "virtio-net-pci,netdev=net,romfile="
		args = append(args, "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "512", "-serial", "stdio", "-bios", o.firmware,
			"-drive", "if=none,id=card,"+drive, "-device", "virtio-blk-pci,drive=card")
	}
	if o.Board != UEFI {
		kernel := o.Kernel
		if kernel == "" {
			kernel = filepath.Join(m.dir, kernelFile)
		}
		args = append(args, "-kernel", kernel, "-append", strings.Join(append(cmdline, o.Append...), " "))
	}
	if o.Initrd != "" {
		args = append(args, "-initrd", o.Initrd)
	}
	if o.NoNetwork {
		args = append(args, "-nic", "none")
	} else {
		if m.addr, err = freeAddress(); err != nil {
			return nil, err
		}
		args = append(args, "-netdev", "user,id=net,restrict=on,hostfwd=tcp:"+m.addr+"-:"+guestPort, "-device", nic)
	}
	return append(args, o.Args...), nil
}

// freeAddress is one of loopback that nothing listens on. Until QEMU does,
// somebody else could take it; then QEMU ends with an error that says so.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// Addr is where the machine's RACS is reached from here.
func (m *Machine) Addr() string { return m.addr }

// Console is what the machine has written to its serial console.
func (m *Machine) Console() string { return m.console.String() }

// PowerCut ends the machine as a power cut does, and waits until it is over.
func (m *Machine) PowerCut() {
	// Where it has ended already there is nothing to kill.
	_ = m.cmd.Process.Kill()
	<-m.ended
}

// Ended is closed when the machine has ended: it was switched off, or it
// restarted.
func (m *Machine) Ended() <-chan struct{} { return m.ended }
