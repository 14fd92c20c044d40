package perm

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/gokrazy/internal/ext4"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// permPartition is the number of /perm's partition, beside that of the root.
const permPartition = 4

// FindDevice finds the block device of /perm: the fourth partition of the disk
// that the root file system is on, whatever that disk is called.
func FindDevice() (string, error) {
	var root unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		return "", fmt.Errorf("root file system: %w", err)
	}
	return deviceBeside("/sys", unix.Major(root.Dev), unix.Minor(root.Dev))
}

func deviceBeside(sys string, major, minor uint32) (string, error) {
	// A symbolic link to the partition, in the directory of its disk.
	partition, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/block", fmt.Sprintf("%d:%d", major, minor)))
	if err != nil {
		return "", fmt.Errorf("root file system: %w", err)
	}
	beside, err := filepath.Glob(filepath.Join(filepath.Dir(partition), "*", "partition"))
	if err != nil {
		return "", err
	}
	for _, file := range beside {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n == permPartition {
			return filepath.Join("/dev", filepath.Base(filepath.Dir(file))), nil
		}
	}
	return "", fmt.Errorf("%s has no partition %d", filepath.Dir(partition), permPartition)
}

// Card is the ext4 file system on an SD card, a [Volume].
type Card struct {
	Device string // "/dev/mmcblk0p4"
	Dir    string // "/perm"
}

// options of a file system that holds no programs and no device nodes.
const options = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME

// Mount implements [Volume].
func (c Card) Mount() error {
	if err := unix.Mount(c.Device, c.Dir, "ext4", options, ""); err != nil {
		return fmt.Errorf("mount %s: %w", c.Device, err)
	}
	return nil
}

// Harden lets no program be executed from /perm, which gokrazy's library has
// mounted with the kernel's defaults.
func (c Card) Harden() error {
	if err := unix.Mount("", c.Dir, "", unix.MS_REMOUNT|options, ""); err != nil {
		return fmt.Errorf("mount options of %s: %w", c.Dir, err)
	}
	return nil
}

// Unmount implements [Volume].
func (c Card) Unmount() error {
	if err := unix.Unmount(c.Dir, 0); err != nil {
		return fmt.Errorf("unmount %s: %w", c.Dir, err)
	}
	return nil
}

// TryWrite implements [Volume].
func (c Card) TryWrite() error {
	// /perm itself is the first process's: nobody else can put this name there.
	f, err := statefile.Edit(filepath.Join(c.Dir, ".try"), 0, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte("TSES"))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// Mounted implements [Volume].
func (c Card) Mounted() (mounted, writable bool, err error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return false, false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 3 && fields[1] == c.Dir {
			mounted, writable = true, strings.HasPrefix(fields[3]+",", "rw,") // the last one counts
		}
	}
	return mounted, writable, lines.Err()
}

// Label implements [Volume]. The kernel writes what it is given to the device
// before it says so.
func (c Card) Label() (string, error) {
	f, err := os.Open(c.Device)
	if err != nil {
		return "", err
	}
	defer f.Close()
	label, err := ext4.Label(f)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.Device, err)
	}
	return label, nil
}

// Errors tells whether the kernel has found damage in the file system.
func (c Card) Errors() (bool, error) {
	f, err := os.Open(c.Device)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return ext4.Errors(f)
}

// setLabel is FS_IOC_SETFSLABEL, _IOW(0x94, 50, char[256]).
const setLabel = 1<<30 | 256<<16 | 0x94<<8 | 50

// SetLabel implements [Volume].
func (c Card) SetLabel(label string) error {
	dir, err := os.Open(c.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	var name [256]byte
	copy(name[:], label)
	if err := ioctl(dir.Fd(), setLabel, &name); err != nil {
		return err
	}
	return unix.Syncfs(int(dir.Fd()))
}

// Repair implements [Volume].
func (c Card) Repair() error {
	return c.onDevice(func(f *os.File, _ int64) error { return ext4.RestoreSuperblock(f) })
}

// Format implements [Volume]. The kernel lets nobody but itself write what is
// mounted, and refuses with EBUSY.
func (c Card) Format(label string) error {
	return c.onDevice(func(f *os.File, size int64) error {
		o := ext4.Options{Size: size, Label: label, Time: time.Now()}
		for _, id := range []*[16]byte{&o.UUID, &o.HashSeed} {
			if _, err := rand.Read(id[:]); err != nil {
				return err
			}
			id[6], id[8] = id[6]&0x0F|0x40, id[8]&0x3F|0x80 // RFC 9562, version 4
		}
		return ext4.Format(f, o)
	})
}

func (c Card) onDevice(do func(*os.File, int64) error) (err error) {
	f, err := os.OpenFile(c.Device, os.O_RDWR|os.O_EXCL, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Device, err)
	}
	if err := do(f, size); err != nil {
		return fmt.Errorf("%s: %w", c.Device, err)
	}
	return f.Sync()
}

// memorySize bounds what a box keeps in memory whose card has died.
const memorySize = "size=16m"

// Memory implements [Volume].
func (c Card) Memory() error {
	if err := unix.Mount("tmpfs", c.Dir, "tmpfs", options, memorySize); err != nil {
		return fmt.Errorf("memory on %s: %w", c.Dir, err)
	}
	return nil
}
