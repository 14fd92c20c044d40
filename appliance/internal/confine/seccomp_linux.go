//go:build amd64 || arm64

package confine

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The parts of struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16 // of 8 bytes each; both architectures are little-endian
)

// listens are the calls that nothing needs once all is listened on that is to
// be. Landlock asks at bind(2) alone, and a socket that was never bound listens
// on a port that the kernel chooses.
var listens = []uint32{unix.SYS_BIND, unix.SYS_LISTEN}

// filterSyscalls lays a filter on all threads. A call that is not allowed fails, so
// that what tries it goes on and tells of it: to end the process would let a new
// release of Go, or of a C library, take a TSES down.
func filterSyscalls(program []unix.SockFilter) error {
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	r, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(program)
	switch {
	case e != 0:
		return e
	case r != 0: // the thread that could not be bound
		return unix.ESRCH
	}
	return nil
}

// begin begins a program in classic BPF (seccomp(2)). The number is loaded behind
// it.
func begin() []unix.SockFilter {
	return append([]unix.SockFilter{
		load(dataArch), equal(auditArch, 1, 0), result(unix.SECCOMP_RET_KILL_PROCESS), // another architecture has other numbers
		load(dataNumber),
	}, ofArchitecture()...)
}

// filter is what holds from the beginning: what is not allowed is forbidden. The
// kernel remembers which numbers are allowed whatever their arguments, and does
// not run the program for them again.
func filter() []unix.SockFilter {
	f := append(begin(), filtered()...)
	for _, g := range append(allowed[:len(allowed):len(allowed)], allowedToo...) {
		for _, number := range g.calls {
			f = append(f, equal(number, 0, 1), allow())
		}
	}
	for _, number := range unknown {
		f = append(f, equal(number, 0, 1), fail(unix.ENOSYS))
	}
	return append(f, jump(unix.BPF_JGT, lastKnown, 0, 1), fail(unix.ENOSYS), fail(unix.EPERM))
}

// lastFilter is what holds when all is listened on.
func lastFilter() []unix.SockFilter {
	f := begin()
	for _, number := range listens {
		f = append(f, equal(number, 0, 1), fail(unix.EPERM))
	}
	return append(f, allow())
}

// when runs a block, which has to end with a result, for one system call.
func when(number uint32, block ...unix.SockFilter) []unix.SockFilter {
	return append([]unix.SockFilter{equal(number, 0, uint8(len(block)))}, block...)
}

// oneOf gives the result if the lower half of an argument is one of the values.
func oneOf(argument uint32, values []uint32, then unix.SockFilter) []unix.SockFilter {
	block := []unix.SockFilter{load(dataArgs + 8*argument)}
	for _, v := range values {
		block = append(block, equal(v, 0, 1), then)
	}
	return block
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func jump(op uint16, value uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: yes, Jf: no, K: value}
}

func and(mask uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: mask}
}

func equal(value uint32, yes, no uint8) unix.SockFilter {
	return jump(unix.BPF_JEQ, value, yes, no)
}

func result(r uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: r}
}

func allow() unix.SockFilter { return result(unix.SECCOMP_RET_ALLOW) }

func fail(e unix.Errno) unix.SockFilter { return result(unix.SECCOMP_RET_ERRNO | uint32(e)) }
