package devfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Numbers of the FUSE protocol (include/uapi/linux/fuse.h).
const (
	opForget    = 2
	opGetattr   = 3
	opOpen      = 14
	opRelease   = 18
	opFlush     = 25
	opInit      = 26
	opAccess    = 34
	opInterrupt = 36
	opDestroy   = 38
	opIoctl     = 39
	opBatch     = 42

	majorVersion = 7
	minorVersion = 31
	directIO     = 1

	inHeader   = 40
	outHeader  = 16
	attrOut    = 104
	openOut    = 16
	initOut    = 64
	ioctlIn    = 32
	maxRequest = 1 << 20 // the kernel asks for more than 128 KiB of room
)

// order is that of the machine: linux/amd64, arm64 and arm are little endian.
var order = binary.LittleEndian

// An ioctl is one call of a client.
type ioctl struct {
	number uint32
	arg    uint64 // address in the client
	caller int    // thread
	data   []byte // what the number says that the argument holds
}

// handler answers an ioctl with its result and, for those that give data back
// by their number, the data.
type handler func(ioctl) (result int32, out []byte, err error)

// File is a device file that is being served.
type File struct {
	path string
	fd   int
	ends sync.WaitGroup
}

// serve mounts a file at path, which must not exist, and answers its ioctls in
// a goroutine until Close.
func serve(path string, handle handler) (*File, error) {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=100600,user_id=0,group_id=0,allow_other", fd)
	if err := unix.Mount("devfile", path, "fuse.devfile", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, errors.Join(fmt.Errorf("mounting %s: %w", path, err), unix.Close(fd))
	}
	f := &File{path: path, fd: fd}
	f.ends.Go(func() { f.loop(handle) })
	return f, nil
}

// Close takes the file away and waits for its goroutine.
func (f *File) Close() error {
	err := unix.Unmount(f.path, unix.MNT_DETACH)
	f.ends.Wait() // the kernel ends the read with ENODEV
	return errors.Join(err, unix.Close(f.fd), os.Remove(f.path))
}

// loop answers requests until the file system is gone.
func (f *File) loop(handle handler) {
	buf := make([]byte, maxRequest)
	for {
		n, err := unix.Read(f.fd, buf)
		switch {
		case err == nil && n >= inHeader:
			f.answer(buf[:n], handle)
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOENT):
		default: // ENODEV: unmounted
			return
		}
	}
}

// answer answers one request.
func (f *File) answer(request []byte, handle handler) {
	body := request[inHeader:]
	switch order.Uint32(request[4:]) {
	case opForget, opBatch, opInterrupt: // have no answer
	case opInit:
		out := make([]byte, initOut)
		order.PutUint32(out[0:], majorVersion)
		order.PutUint32(out[4:], minorVersion)
		order.PutUint32(out[20:], maxRequest/8) // longest write
		f.reply(request, 0, out)
	case opGetattr:
		out := make([]byte, attrOut)
		order.PutUint64(out[16:], 1)                  // inode
		order.PutUint32(out[76:], unix.S_IFREG|0o600) // mode
		order.PutUint32(out[80:], 1)                  // links
		f.reply(request, 0, out)
	case opOpen:
		out := make([]byte, openOut)
		order.PutUint32(out[8:], directIO)
		f.reply(request, 0, out)
	case opFlush, opRelease, opAccess, opDestroy:
		f.reply(request, 0, nil)
	case opIoctl:
		f.answerIoctl(request, body, handle)
	default:
		f.reply(request, unix.ENOSYS, nil)
	}
}

func (f *File) answerIoctl(request, body []byte, handle handler) {
	if len(body) < ioctlIn {
		f.reply(request, unix.EINVAL, nil)
		return
	}
	result, data, err := handle(ioctl{
		number: order.Uint32(body[12:]),
		arg:    order.Uint64(body[16:]),
		caller: int(order.Uint32(request[32:])),
		data:   body[ioctlIn:],
	})
	if err != nil {
		errno := unix.EIO
		errors.As(err, &errno)
		f.reply(request, errno, nil)
		return
	}
	out := make([]byte, 16, 16+len(data))
	order.PutUint32(out, uint32(result))
	f.reply(request, 0, append(out, data...))
}

// reply writes one answer. That the client is gone (ENOENT) or the file system
// (ENODEV) is no error of ours.
func (f *File) reply(request []byte, errno unix.Errno, body []byte) {
	out := make([]byte, outHeader, outHeader+len(body))
	out = append(out, body...)
	order.PutUint32(out[0:], uint32(len(out)))
	order.PutUint32(out[4:], uint32(-int32(errno)))
	copy(out[8:16], request[8:16]) // number of the request
	_, _ = unix.Write(f.fd, out)
}
