//go:build amd64 || arm64

package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights of Landlock (landlock(7)).
const (
	readFiles  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	writeFiles = readFiles | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_REFER |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR
	devices = readFiles | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	program = readFiles | unix.LANDLOCK_ACCESS_FS_EXECUTE

	// ofFile are the rights that a file can have; the others are a directory's.
	ofFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV

	ofPort     = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	scopeOfAll = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL

	ruleNetPort = 2 // LANDLOCK_RULE_NET_PORT
)

// portRule is struct landlock_net_port_attr.
type portRule struct{ allowed, port uint64 }

// ruleset is what a thread binds itself to.
type ruleset struct {
	fd  int // -1: the kernel has no Landlock
	abi int
	err error // why it has none
	net bool
}

// handled are the rights that a version of Landlock knows: each forbids them
// where no rule allows them.
func handled(abi int, ports bool) unix.LandlockRulesetAttr {
	a := unix.LandlockRulesetAttr{Access_fs: unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1}
	if abi >= 2 {
		a.Access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		a.Access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 4 && ports {
		a.Access_net = ofPort
	}
	if abi >= 5 {
		a.Access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		a.Scoped = scopeOfAll
	}
	return a
}

// newRuleset makes the rules, while all paths can still be opened.
func newRuleset(r Rules, self string) (*ruleset, error) {
	abi, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return &ruleset{fd: -1, err: fmt.Errorf("landlock: %w", e)}, nil
	}
	attr := handled(int(abi), len(r.Ports) > 0)
	fd, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if e != 0 {
		return nil, fmt.Errorf("landlock: %w", e)
	}
	s := &ruleset{fd: int(fd), abi: int(abi), net: attr.Access_net != 0}
	err := errors.Join(
		s.allow(program&attr.Access_fs, self),
		s.allow(program&attr.Access_fs, r.Libraries...),
		s.allow(writeFiles&attr.Access_fs, r.ReadWrite...),
		s.allow(readFiles&attr.Access_fs, r.Read...),
		s.allow(devices&attr.Access_fs, r.Devices...))
	if s.net {
		err = errors.Join(err, s.allowPorts(r.Ports))
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *ruleset) allow(rights uint64, paths ...string) error {
	for _, path := range paths {
		err := s.allowPath(rights, path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("landlock: %s: %w", path, err)
		}
	}
	return nil
}

func (s *ruleset) allowPath(rights uint64, path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFile
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, e := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(s.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

func (s *ruleset) allowPorts(ports []uint16) error {
	for _, p := range ports {
		attr := portRule{allowed: ofPort, port: uint64(p)}
		_, _, e := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(s.fd), ruleNetPort, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
		if e != 0 {
			return fmt.Errorf("landlock: port %d: %w", p, e)
		}
	}
	return nil
}

// restrict binds this thread.
func (s *ruleset) restrict(report *Report) {
	const files, ports, others = "files (landlock)", "TCP ports (landlock)", "signals and sockets of others (landlock)"
	err := s.err
	if err == nil {
		if _, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(s.fd), 0, 0); e != 0 {
			err = e
		}
	}
	report.add(files, err)
	if err != nil {
		return
	}
	since := func(abi int) error {
		if s.abi < abi {
			return fmt.Errorf("the kernel has Landlock version %d, and this came with %d", s.abi, abi)
		}
		return nil
	}
	if s.net || s.abi < 4 {
		report.add(ports, since(4))
	}
	report.add(others, since(6))
}

func (s *ruleset) close() {
	if s.fd >= 0 {
		// Only a reference to what is in force already goes away.
		_ = unix.Close(s.fd)
	}
}
