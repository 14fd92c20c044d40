//go:build linux

package trial

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/gokrazy/slots"
)

// Card is the card that this machine runs from.
type Card struct {
	Running slots.Slot // whose root file system this is
	Started slots.Slot // what the boot loader has started

	devices map[int]string // the partitions, by number
}

const bootPartition = 1

// Trial tells whether this is the one start of an update.
func (c *Card) Trial() bool { return c.Running != c.Started }

// Find finds out about the card. It needs /proc and /sys.
func Find() (*Card, error) {
	var root syscall.Stat_t
	if err := syscall.Stat("/", &root); err != nil {
		return nil, fmt.Errorf("root file system: %w", err)
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return nil, fmt.Errorf("the kernel's command line: %w", err)
	}
	block := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(root.Dev), unix.Minor(root.Dev))
	return find(block, string(cmdline))
}

// find reads the directory that sysfs has for the block device of the root
// file system.
func find(block, cmdline string) (*Card, error) {
	dir, err := filepath.EvalSymlinks(block)
	if err != nil {
		return nil, fmt.Errorf("the card: %w", err)
	}
	c := &Card{devices: make(map[int]string)}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", "partition"))
	if err != nil {
		return nil, fmt.Errorf("the card: %w", err)
	}
	for _, name := range names {
		if number, err := readNumber(name); err == nil {
			c.devices[number] = "/dev/" + filepath.Base(filepath.Dir(name))
		}
	}
	own, err := readNumber(filepath.Join(dir, "partition"))
	if err != nil {
		return nil, fmt.Errorf("the card: the root file system is on no partition: %w", err)
	}
	c.Running = slots.Slot(own - 1)
	if c.Started, err = started(cmdline); err != nil {
		return nil, err
	}
	for _, s := range []slots.Slot{c.Running, c.Started} {
		if s != slots.A && s != slots.B {
			return nil, fmt.Errorf("the card: %v is none of the two for root file systems", s)
		}
	}
	for _, number := range []int{bootPartition, slots.A.Partition(), slots.B.Partition()} {
		if c.devices[number] == "" {
			return nil, fmt.Errorf("the card has no partition %d", number)
		}
	}
	return c, nil
}

func readNumber(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

var rootArg = regexp.MustCompile(`^root=(?:PARTUUID=[0-9A-Fa-f-]+/PARTNROFF=([12])|/dev/(?:[a-z]+|[a-z]+[0-9]+(?:n[0-9]+)?p)([23]))$`)

var errCmdline = errors.New("the kernel's command line names no root file system of a card")

// started reads the slot from the kernel's command line, of which the last
// root= holds.
func started(cmdline string) (s slots.Slot, err error) {
	err = errCmdline
	for _, word := range strings.Fields(cmdline) {
		found := rootArg.FindStringSubmatch(word)
		switch {
		case found == nil:
		case found[1] != "":
			s, err = slots.Slot(found[1][0]-'0'), nil
		default:
			s, err = slots.Slot(found[2][0]-'1'), nil
		}
	}
	return s, err
}

// device is that of a slot.
func (c *Card) device(s slots.Slot) string { return c.devices[s.Partition()] }

// with opens partitions, lets do use them, and closes them.
func with(do func([]*slots.Partition) error, devices ...string) (err error) {
	var all []*slots.Partition
	for _, d := range devices {
		p, f, openErr := slots.Open(d)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		all = append(all, p)
	}
	return do(all)
}
