package confine

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// deniedToo are the calls that this architecture alone has.
var deniedToo = []uint32{unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT}

// x32 marks the numbers of a second set of system calls.
const x32 = 0x40000000

func ofArchitecture() []unix.SockFilter {
	return []unix.SockFilter{jump(unix.BPF_JGE, x32, 0, 1), fail(unix.EPERM)}
}
