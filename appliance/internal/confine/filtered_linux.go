//go:build amd64 || arm64

package confine

import "golang.org/x/sys/unix"

// families are the sockets that may be made besides TCP's: pcscd's, and, see
// netlink, the kernel's list of interfaces.
var families = []uint32{unix.AF_UNIX}

// ioctls are the kinds of device, by the byte that their requests have as their
// type (ioctl(2)), that a driver controls; see controls for terminals.
var ioctls = []uint32{
	0x07 << 8, // I2C
	'k' << 8,  // SPI
	0xB4 << 8, // GPIO: reset and power of chips
}

// typed are requests of those types that no driver makes: what puts characters into
// a terminal's input, takes a terminal over, or changes what lies between it and
// its UART, which is a program in the kernel.
var typed = []uint32{unix.TIOCSTI, unix.TIOCLINUX, unix.TIOCSCTTY, unix.TIOCSETD, unix.TIOCCONS}

// sends are the calls that send, and which of their arguments holds the flags.
// With MSG_FASTOPEN they connect as well (RFC 7413), to any port: Landlock asks
// at connect(2) alone.
var sends = []struct{ number, flags uint32 }{{unix.SYS_SENDTO, 3}, {unix.SYS_SENDMSG, 2}, {unix.SYS_SENDMMSG, 3}}

// prctls are the requests that are allowed: names of threads, and names of
// memory, by which Go's runtime says what it is for.
var prctls = []uint32{unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_VMA, unix.PR_GET_DUMPABLE}

// namespaces are the flags of clone(2) that make something else than a thread.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_PTRACE | unix.CLONE_PIDFD

const writeAndExecute = unix.PROT_WRITE | unix.PROT_EXEC

// filtered are the calls that depend on an argument. Pointers cannot be followed;
// the arguments that are looked at are numbers, of which the kernel itself takes
// the lower half alone (or, of mmap's and clone's, knows no higher bits).
func filtered() []unix.SockFilter {
	var f []unix.SockFilter
	for _, s := range sends {
		f = append(f, when(s.number, load(dataArgs+8*s.flags), jump(unix.BPF_JSET, unix.MSG_FASTOPEN, 0, 1), fail(unix.EPERM), allow())...)
	}
	f = append(f, when(unix.SYS_CLONE, // another thread, and no other process
		load(dataArgs), jump(unix.BPF_JSET, namespaces, 1, 0), jump(unix.BPF_JSET, unix.CLONE_THREAD, 1, 0), fail(unix.EPERM), allow())...)
	f = append(f, when(unix.SYS_SOCKET, append(append(oneOf(0, families, allow()), netlink()...), stream()...)...)...)
	f = append(f, when(unix.SYS_IOCTL, controls()...)...)
	f = append(f, when(unix.SYS_PRCTL, append(oneOf(0, prctls, allow()), fail(unix.EPERM))...)...)
	// What is written is never executed. A library may be mapped to be executed,
	// as a C library does when it loads another.
	f = append(f, when(unix.SYS_MMAP,
		load(dataArgs+8*2), and(writeAndExecute), equal(writeAndExecute, 0, 1), fail(unix.EPERM), allow())...)
	f = append(f, when(unix.SYS_MPROTECT,
		load(dataArgs+8*2), jump(unix.BPF_JSET, unix.PROT_EXEC, 0, 1), fail(unix.EPERM), allow())...)
	// State has modes; a program that runs as somebody else is nobody's to make.
	const setID = unix.S_ISUID | unix.S_ISGID
	f = append(f, when(unix.SYS_FCHMOD, load(dataArgs+8), jump(unix.BPF_JSET, setID, 0, 1), fail(unix.EPERM), allow())...)
	f = append(f, when(unix.SYS_FCHMODAT, load(dataArgs+8*2), jump(unix.BPF_JSET, setID, 0, 1), fail(unix.EPERM), allow())...)
	// The limits of this process, and of no other.
	f = append(f, when(unix.SYS_PRLIMIT64, load(dataArgs), equal(0, 0, 1), allow(), fail(unix.EPERM))...)
	return f
}

// controls lets requests to the devices of the drivers through.
func controls() []unix.SockFilter {
	f := oneOf(1, typed, fail(unix.EPERM))
	f = append(f,
		// Terminals, for cards on a UART: of their type the lower numbers alone. The
		// higher ones make tunnels.
		and(0xFFFF), jump(unix.BPF_JGE, 'T'<<8, 0, 2), jump(unix.BPF_JGE, 'T'<<8|0x60, 1, 0), allow(),
		and(0xFF00))
	for _, kind := range ioctls {
		f = append(f, equal(kind, 0, 1), allow())
	}
	return append(f, fail(unix.EPERM))
}

// netlink lets the kernel be asked for its interfaces (rtnetlink(7)), and none of
// what else is spoken over such sockets. The family is loaded, before and after.
func netlink() []unix.SockFilter {
	return []unix.SockFilter{
		equal(unix.AF_NETLINK, 0, 4), load(dataArgs + 16), equal(unix.NETLINK_ROUTE, 0, 1), allow(), fail(unix.EPROTONOSUPPORT),
	}
}

// stream lets sockets of TCP be made and no others. Landlock's rules for ports
// are for TCP: what UDP and Multipath TCP send and take, they do not see.
func stream() []unix.SockFilter {
	return []unix.SockFilter{ // the family is loaded
		equal(unix.AF_INET, 2, 0), equal(unix.AF_INET6, 1, 0), fail(unix.EAFNOSUPPORT),
		load(dataArgs + 8), and(0xF), // without SOCK_CLOEXEC and SOCK_NONBLOCK
		equal(unix.SOCK_STREAM, 1, 0), fail(unix.EPROTONOSUPPORT),
		load(dataArgs + 16), equal(0, 1, 0), equal(unix.IPPROTO_TCP, 0, 1), allow(), fail(unix.EPROTONOSUPPORT),
	}
}
