package confine

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// allowedToo are what this architecture alone has, or names otherwise.
var allowedToo = []group{
	{"what is known of a file by its name", []uint32{unix.SYS_NEWFSTATAT}},
	{"the older calls that a C library makes on this architecture", []uint32{
		unix.SYS_POLL, unix.SYS_SELECT, unix.SYS_ACCESS, unix.SYS_READLINK, unix.SYS_OPEN, unix.SYS_STAT, unix.SYS_LSTAT,
		unix.SYS_UNLINK, unix.SYS_TIME, unix.SYS_EPOLL_WAIT, unix.SYS_PIPE, unix.SYS_DUP2, unix.SYS_ARCH_PRCTL}},
}

// x32 marks the numbers of a second set of system calls.
const x32 = 0x40000000

func ofArchitecture() []unix.SockFilter {
	return []unix.SockFilter{jump(unix.BPF_JGE, x32, 0, 1), fail(unix.EPERM)}
}
