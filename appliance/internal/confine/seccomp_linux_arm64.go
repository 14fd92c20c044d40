package confine

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// allowedToo are what this architecture names otherwise.
var allowedToo = []group{
	{"what is known of a file by its name", []uint32{unix.SYS_FSTATAT}},
}

func ofArchitecture() []unix.SockFilter { return nil }
