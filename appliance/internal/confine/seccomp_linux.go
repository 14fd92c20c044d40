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

// denied are the system calls that nothing in a server of secure elements
// needs: to run programs, to look into processes, to change file systems, the
// kernel, the clock or the machine, and those whose bugs have been the way out
// of many a cage.
var denied = []uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_FANOTIFY_INIT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD,
	unix.SYS_SETNS, unix.SYS_UNSHARE,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_SYSLOG, unix.SYS_ACCT,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_VHANGUP, unix.SYS_PERSONALITY,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID,
	unix.SYS_SETGROUPS, unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_CAPSET,
}

// families are the sockets that may be made besides TCP's: pcscd's, and the
// kernel's list of interfaces.
var families = []uint32{unix.AF_UNIX, unix.AF_NETLINK}

// typed are the ioctls that put characters into a terminal's input.
var typed = []uint32{unix.TIOCSTI, unix.TIOCLINUX}

// sends are the calls that send, and which of their arguments holds the flags.
// With MSG_FASTOPEN they connect as well (RFC 7413), to any port: Landlock asks
// at connect(2) alone.
var sends = map[uint32]uint32{unix.SYS_SENDTO: 3, unix.SYS_SENDMSG: 2, unix.SYS_SENDMMSG: 3}

// listens are the calls that nothing needs once all is listened on that is to
// be. Landlock asks at bind(2) alone, and a socket that was never bound listens
// on a port that the kernel chooses.
var listens = []uint32{unix.SYS_BIND, unix.SYS_LISTEN}

// filterSyscalls lays a filter on all threads. A call that is denied fails
// with EPERM, so that what tries it goes on and tells of it.
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

// deny begins a program in classic BPF (seccomp(2)) that denies some calls. The
// number is loaded behind it.
func deny(numbers ...uint32) []unix.SockFilter {
	f := []unix.SockFilter{
		load(dataArch), equal(auditArch, 1, 0), result(unix.SECCOMP_RET_KILL_PROCESS), // another architecture has other numbers
		load(dataNumber),
	}
	f = append(f, ofArchitecture()...)
	for _, number := range numbers {
		f = append(f, equal(number, 0, 1), fail(unix.EPERM))
	}
	return f
}

// filter is what holds from the beginning.
func filter() []unix.SockFilter {
	f := deny(append(denied[:len(denied):len(denied)], deniedToo...)...)
	for number, flags := range sends {
		f = append(f, when(number, load(dataArgs+8*flags), jump(unix.BPF_JSET, unix.MSG_FASTOPEN, 0, 1), fail(unix.EPERM), allow())...)
	}
	f = append(f, when(unix.SYS_CLONE3, fail(unix.ENOSYS))...) // its arguments cannot be seen; callers go back to clone
	f = append(f, when(unix.SYS_CLONE,
		load(dataArgs), jump(unix.BPF_JSET, unix.CLONE_THREAD, 1, 0), fail(unix.EPERM), allow())...)
	f = append(f, when(unix.SYS_SOCKET, append(oneOf(0, families, allow()), stream()...)...)...)
	f = append(f, when(unix.SYS_IOCTL, append(oneOf(1, typed, fail(unix.EPERM)), allow())...)...)
	return append(f, allow())
}

// lastFilter is what holds when all is listened on.
func lastFilter() []unix.SockFilter { return append(deny(listens...), allow()) }

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

// stream lets sockets of TCP be made and no others. Landlock's rules for ports
// are for TCP: what UDP and Multipath TCP send and take, they do not see.
func stream() []unix.SockFilter {
	return []unix.SockFilter{ // the family is loaded
		equal(unix.AF_INET, 2, 0), equal(unix.AF_INET6, 1, 0), fail(unix.EAFNOSUPPORT),
		load(dataArgs + 8), {Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xF}, // without SOCK_CLOEXEC and SOCK_NONBLOCK
		equal(unix.SOCK_STREAM, 1, 0), fail(unix.EPROTONOSUPPORT),
		load(dataArgs + 16), equal(0, 1, 0), equal(unix.IPPROTO_TCP, 0, 1), allow(), fail(unix.EPROTONOSUPPORT),
	}
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func jump(op uint16, value uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: yes, Jf: no, K: value}
}

func equal(value uint32, yes, no uint8) unix.SockFilter {
	return jump(unix.BPF_JEQ, value, yes, no)
}

func result(r uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: r}
}

func allow() unix.SockFilter { return result(unix.SECCOMP_RET_ALLOW) }

func fail(e unix.Errno) unix.SockFilter { return result(unix.SECCOMP_RET_ERRNO | uint32(e)) }
