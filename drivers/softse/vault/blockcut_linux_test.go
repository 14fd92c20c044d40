package vault

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/internal/needs"
)

const (
	blockRole  = "TSES_VAULT_TEST_BLOCKS"   // the process with a mount namespace of its own
	blockSaves = 25                         // that are logged
	blockSize  = 8 << 20                    // of the disk
	sector     = 512                        // is written whole
	cutOptions = "data=ordered,commit=3600" // ext4's own, and no commit but by fsync
)

// TestCutOnBlocks: a process saves on an ext4 on a block device, and every
// write and flush that reaches the device is kept. The power is cut behind each of
// them, with what was not flushed there, gone, or there in part: what was
// acknowledged before is there for the next one who mounts the disk.
func TestCutOnBlocks(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		log := recordSaves(t, cutOptions)
		cuts, lost := log.cutAll(t, 15)
		t.Logf("%d saves in %d requests of the block layer; %d cuts", blockSaves, log.length(), cuts)
		for _, l := range lost {
			t.Error(l)
		}
	})
}

// TestCutWithoutFlushes is what shows that the other can fail: on a file system
// that does not flush, acknowledged states are lost.
func TestCutWithoutFlushes(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		log := recordSaves(t, cutOptions+",nobarrier")
		cuts, lost := log.cutAll(t, 6)
		t.Logf("%d of %d cuts have lost something", len(lost), cuts)
		if len(lost) == 0 {
			t.Error("nothing was ever lost: the cuts cut nothing")
		}
	})
}

// inNamespace runs a part of a test in a process with mounts of its own.
func inNamespace(t *testing.T, run func(*testing.T)) {
	t.Helper()
	if os.Getenv(blockRole) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", os.TempDir(), "tmpfs", 0, "size=128m"); err != nil { // what is cut flushes nowhere
			t.Fatal(err)
		}
		run(t)
		return
	}
	if os.Geteuid() != 0 {
		needs.Missing(t, "needs root")
	}
	for _, path := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(path); err != nil {
			needs.Missing(t, "needs "+path)
		}
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		needs.Missing(t, "mkfs.ext4 is not installed (Debian: e2fsprogs)")
	}
	limit := time.Minute
	if needs.Full() {
		limit = 10 * time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), blockRole+"=1", "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("with mounts of its own: %v", err)
	}
}

// savesLog is a disk's log, and how long it was when each save was acknowledged.
type savesLog struct {
	*blockLog
	acked []int // acked[n] is for count n+1
}

// recordSaves has a process save on a fresh ext4, one state after the other.
func recordSaves(t *testing.T, options string) *savesLog {
	t.Helper()
	dir := t.TempDir()
	log, err := newBlockLog(filepath.Join(dir, "disk"), blockSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.close(); err != nil {
			t.Error(err)
		}
	})
	device := attach(t, log.path)
	if out, err := exec.CommandContext(t.Context(), "mkfs.ext4", "-q", "-F", "-b", "1024", "-J", "size=1", device.Name()).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	mount := filepath.Join(dir, "mount")
	if err := errors.Join(os.Mkdir(mount, 0o700), unix.Mount(device.Name(), mount, "ext4", 0, options), device.Close()); err != nil {
		t.Fatal(err)
	}
	root, err := unix.Open(mount, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Syncfs(root), unix.Close(root)); err != nil {
		t.Fatal(err)
	}
	log.begin()
	s := &savesLog{blockLog: log}
	s.acked = saveInStep(t, filepath.Join(mount, "state"), log.length)
	if err := unix.Unmount(mount, 0); err != nil {
		t.Fatal(err)
	}
	return s
}

// saveInStep has another process count, and asks for the length of the log
// before it lets it go on.
func saveInStep(t *testing.T, dir string, length func() int) (acked []int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childInStep+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 1; n <= blockSaves; n++ {
		if !lines.Scan() || lines.Text() != strconv.Itoa(n) {
			t.Fatalf("save %d: %q, %v", n, lines.Text(), lines.Err())
		}
		acked = append(acked, length())
		if n < blockSaves {
			fmt.Fprintln(in)
		}
	}
	_ = errors.Join(in.Close(), cmd.Wait()) // it ends with what it was told last
	return acked
}

// cutAll cuts behind each request, or so many of them where not all is asked for
// to its end, and tells what was lost.
func (l *savesLog) cutAll(t *testing.T, some int) (cuts int, lost []string) {
	t.Helper()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	image, mount := filepath.Join(t.TempDir(), "image"), t.TempDir()
	share := 1
	if !needs.Full() {
		share = max(1, l.length()/some)
	}
	for at := r.IntN(share); at <= l.length(); at += share {
		for how := range howCut(3) {
			cuts++
			if err := os.WriteFile(image, l.cut(r, at, how), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := l.remount(t, image, mount, at); err != nil {
				lost = append(lost, fmt.Sprintf("seed %#x: cut behind request %d of %d, what was not flushed %s: %v", seed, at, l.length(), how, err))
			}
		}
	}
	return cuts, lost
}

// howCut is what became of the writes that were not flushed.
type howCut int

func (h howCut) String() string { return []string{"is there", "is gone", "is there in part"}[h] }

// cut is the disk after so many requests and a power cut.
func (l *savesLog) cut(r *rand.Rand, at int, how howCut) []byte {
	flushed := at
	for flushed > 0 && l.entries[flushed-1].data != nil {
		flushed--
	}
	image := append([]byte(nil), l.base...)
	for i, e := range l.entries[:at] {
		switch {
		case i < flushed || how == 0:
			copy(image[e.at:], e.data)
		case how == 2:
			for s := 0; s < len(e.data); s += sector {
				if r.IntN(2) == 0 {
					copy(image[e.at+int64(s):], e.data[s:min(s+sector, len(e.data))])
				}
			}
		}
	}
	return image
}

// remount mounts a disk after a cut and goes on with the state that is there.
func (l *savesLog) remount(t *testing.T, image, mount string, at int) error {
	t.Helper()
	device := attach(t, image)
	err := unix.Mount(device.Name(), mount, "ext4", 0, "")
	if err = errors.Join(err, device.Close()); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	defer func() {
		if err := unix.Unmount(mount, 0); err != nil {
			t.Error(err)
		}
	}()
	acked := uint64(0)
	for n, length := range l.acked {
		if length <= at {
			acked = uint64(n + 1)
		}
	}
	got, err := goOn(filepath.Join(mount, "state"))
	if err != nil {
		return fmt.Errorf("with %d acknowledged: %w", acked, err)
	}
	if got != acked && got != acked+1 {
		return fmt.Errorf("with %d acknowledged there is %d", acked, got)
	}
	return nil
}

// goOn is the count that was saved last, and saves the next.
func goOn(dir string) (n uint64, err error) {
	key, err := killKey()
	if err != nil {
		return 0, err
	}
	f, err := Open(dir, key, "soft1")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	state, err := f.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		state = make([]byte, 8)
	case err != nil:
		return 0, err
	}
	n = binary.BigEndian.Uint64(state)
	if err := f.Save(binary.BigEndian.AppendUint64(nil, n+1)); err != nil {
		return n, err
	}
	next, err := f.Load()
	if err == nil && binary.BigEndian.Uint64(next) != n+1 {
		err = fmt.Errorf("saved %d behind it and loaded %X", n+1, next)
	}
	return n, err
}

// attach makes a block device of a file. It goes when it is neither open nor
// mounted any more.
func attach(t *testing.T, path string) *os.File {
	t.Helper()
	// Not by package os, whose poller asks the server of a file whether it can be
	// polled, in a system call that keeps other goroutines waiting: the server's.
	file, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(file) }()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	for range 20 { // others may take the free one first
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Fatal(err)
		}
		name := "/dev/loop" + strconv.Itoa(n)
		device, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		config := unix.LoopConfig{Fd: uint32(file)}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if errors.Is(err, unix.EBUSY) {
			_ = device.Close() // another's
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return device
	}
	t.Fatal("no loop device is free")
	return nil
}
