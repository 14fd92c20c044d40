package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// blockLog is a disk of the size of a file, and everything that was written to
// it: what dm-log-writes is where the kernel has it. It is a regular file of a
// FUSE file system, with a loop device of the kernel on top, so that each entry is
// a request of the block layer.
type blockLog struct {
	path string
	fd   int
	ends sync.WaitGroup

	mu      sync.Mutex
	image   []byte // as all writes have made it
	base    []byte // before the first entry
	entries []blockEntry
	err     error
}

// blockEntry is a write, or a flush where data is nil: all writes before it that
// were answered are for good.
type blockEntry struct {
	at   int64
	data []byte
}

// Numbers of the FUSE protocol (include/uapi/linux/fuse.h).
const (
	fuseForget    = 2
	fuseGetattr   = 3
	fuseOpen      = 14
	fuseRead      = 15
	fuseWrite     = 16
	fuseRelease   = 18
	fuseFsync     = 20
	fuseFlush     = 25
	fuseInit      = 26
	fuseAccess    = 34
	fuseInterrupt = 36
	fuseDestroy   = 38
	fuseBatch     = 42

	fuseInHeader  = 40
	fuseOutHeader = 16
	fuseDirectIO  = 1
	fuseMaxWrite  = 128 << 10
)

// fuseOrder is that of the machine: linux/amd64, arm64 and arm are little endian.
var fuseOrder = binary.LittleEndian

// newBlockLog serves a disk of so many bytes at path, until close.
func newBlockLog(path string, size int64) (*blockLog, error) {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=100600,user_id=0,group_id=0", fd)
	if err := unix.Mount("blocklog", path, "fuse.blocklog", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, errors.Join(fmt.Errorf("mounting %s: %w", path, err), unix.Close(fd))
	}
	l := &blockLog{path: path, fd: fd, image: make([]byte, size)}
	l.ends.Go(l.serve)
	return l, nil
}

func (l *blockLog) close() error {
	err := unix.Unmount(l.path, unix.MNT_DETACH)
	l.ends.Wait() // the kernel ends the read with ENODEV
	return errors.Join(err, unix.Close(l.fd), l.err)
}

// begin forgets what was logged: the disk as it is now is what cuts begin with.
func (l *blockLog) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.base, l.entries = append([]byte(nil), l.image...), nil
}

// length is the number of entries.
func (l *blockLog) length() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *blockLog) serve() {
	buf := make([]byte, 2*fuseMaxWrite)
	for {
		n, err := unix.Read(l.fd, buf)
		switch {
		case err == nil && n >= fuseInHeader:
			if err := l.answer(buf[:n]); err != nil {
				l.err = err
			}
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOENT):
		default: // ENODEV: unmounted
			return
		}
	}
}

func (l *blockLog) answer(request []byte) error {
	body := request[fuseInHeader:]
	switch fuseOrder.Uint32(request[4:]) {
	case fuseForget, fuseBatch, fuseInterrupt: // have no answer
		return nil
	case fuseInit:
		out := make([]byte, 64)
		fuseOrder.PutUint32(out[0:], 7)
		fuseOrder.PutUint32(out[4:], 31)
		fuseOrder.PutUint32(out[20:], fuseMaxWrite)
		return l.reply(request, 0, out)
	case fuseGetattr:
		out := make([]byte, 104)
		fuseOrder.PutUint64(out[16:], 1) // inode
		fuseOrder.PutUint64(out[24:], uint64(len(l.image)))
		fuseOrder.PutUint32(out[76:], unix.S_IFREG|0o600)
		fuseOrder.PutUint32(out[80:], 1) // links
		return l.reply(request, 0, out)
	case fuseOpen:
		out := make([]byte, 16)
		fuseOrder.PutUint32(out[8:], fuseDirectIO)
		return l.reply(request, 0, out)
	case fuseRead, fuseWrite:
		return l.transfer(request, body)
	case fuseFsync:
		l.mu.Lock()
		l.entries = append(l.entries, blockEntry{})
		l.mu.Unlock()
		return l.reply(request, 0, nil)
	case fuseFlush, fuseRelease, fuseAccess, fuseDestroy:
		return l.reply(request, 0, nil)
	}
	return l.reply(request, unix.ENOSYS, nil)
}

// transfer reads from the disk or writes to it.
func (l *blockLog) transfer(request, body []byte) error {
	at, n := int64(fuseOrder.Uint64(body[8:])), int64(fuseOrder.Uint32(body[16:]))
	if at < 0 || at+n > int64(len(l.image)) {
		return l.reply(request, unix.EINVAL, nil)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if fuseOrder.Uint32(request[4:]) == fuseRead {
		return l.reply(request, 0, l.image[at:at+n])
	}
	data := append([]byte{}, body[40:40+n]...)
	copy(l.image[at:], data)
	l.entries = append(l.entries, blockEntry{at, data})
	out := make([]byte, 8)
	fuseOrder.PutUint32(out, uint32(n))
	return l.reply(request, 0, out)
}

// reply writes one answer. That the file system is gone is no error of ours.
func (l *blockLog) reply(request []byte, errno unix.Errno, body []byte) error {
	out := make([]byte, fuseOutHeader, fuseOutHeader+len(body))
	out = append(out, body...)
	fuseOrder.PutUint32(out[0:], uint32(len(out)))
	fuseOrder.PutUint32(out[4:], uint32(-int32(errno)))
	copy(out[8:16], request[8:16]) // number of the request
	_, err := unix.Write(l.fd, out)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}
