package confine

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// deniedToo are the calls that this architecture alone has.
var deniedToo []uint32

func ofArchitecture() []unix.SockFilter { return nil }
