//go:build linux

// Command air is the first process of a virtual machine of tests that has
// Debian's kernel and two radios, both simulated by that kernel: one for the SD
// card, the other, in a network of its own, for an access point, which is a real
// hostapd. It then becomes the init of the card's own root file system, whose
// only way out is the air:
//
//	test - QEMU - eth0 | access point | wlan1 ))) ((( wlan0 | the box
//
// What comes to port 7777 of eth0 is passed on to the box.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Where things are in the first root file system.
const (
	modulesDir = "/modules" // the kernel's, in the order of their names
	hostapd    = "/usr/sbin/hostapd"
	hostapdCfg = "/hostapd.conf"
	newRoot    = "/card"
	rootA      = "/dev/vda2"
	cardInit   = "/gokrazy/init"
)

// patience bounds every wait here.
const patience = 30 * time.Second

func main() {
	run := becomeBox
	if os.Getpid() != 1 {
		run = beAccessPoint
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "air:", err)
	}
	if os.Getpid() == 1 {
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // the console has said why
	}
}

// becomeBox prepares the machine and does not return.
func becomeBox() error {
	for _, m := range []struct{ kind, dir string }{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := startAccessPoint(); err != nil {
		return fmt.Errorf("access point: %w", err)
	}
	return enterCard()
}

func loadModules() error {
	files, err := filepath.Glob(modulesDir + "/*.ko")
	if err != nil {
		return err
	}
	for _, file := range files {
		options := ""
		if strings.HasSuffix(file, "mac80211_hwsim.ko") {
			options = "radios=2"
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), options, 0)
		_ = f.Close() // read only
		if err != nil {
			return fmt.Errorf("module %s: %w", file, err)
		}
	}
	return nil
}

// startAccessPoint starts this program again in a network of its own, and gives
// it the second radio and the Ethernet.
func startAccessPoint() error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil { // the machine's end is its end
		return err
	}
	eth, err := await("eth0")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetNsPid(eth, cmd.Process.Pid); err != nil {
		return fmt.Errorf("eth0: %w", err)
	}
	radio, err := await("wlan1")
	if err != nil {
		return err
	}
	return giveRadio(radio.Attrs().Name, cmd.Process.Pid)
}

// await waits until there is an interface.
func await(name string) (netlink.Link, error) {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		link, err := netlink.LinkByName(name)
		if err == nil || time.Now().After(end) {
			return link, err
		}
	}
}

// giveRadio moves the radio of an interface to the network of a process.
func giveRadio(name string, pid int) error {
	text, err := os.ReadFile("/sys/class/net/" + name + "/phy80211/index")
	if err != nil {
		return err
	}
	var phy uint32
	if _, err := fmt.Sscan(string(text), &phy); err != nil {
		return err
	}
	family, err := netlink.GenlFamilyGet(unix.NL80211_GENL_NAME)
	if err != nil {
		return err
	}
	request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	request.AddData(&nl.Genlmsg{Command: unix.NL80211_CMD_SET_WIPHY_NETNS, Version: 1})
	request.AddData(nl.NewRtAttr(unix.NL80211_ATTR_WIPHY, nl.Uint32Attr(phy)))
	request.AddData(nl.NewRtAttr(unix.NL80211_ATTR_PID, nl.Uint32Attr(uint32(pid))))
	if _, err := request.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		return fmt.Errorf("radio of %s: %w", name, err)
	}
	return nil
}

// enterCard makes the card's root file system the root, and its init this
// process.
func enterCard() error {
	if err := os.MkdirAll(newRoot, 0o755); err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Mount(rootA, newRoot, "squashfs", unix.MS_RDONLY, "")
		if err == nil {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("mount %s: %w", rootA, err)
		}
	}
	for _, dir := range []string{"/dev", "/proc", "/sys"} {
		if err := unix.Mount(dir, newRoot+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Exec(cardInit, []string{cardInit}, os.Environ())
}
