//go:build amd64 || arm64

package confine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/internal/needs"
)

// cage is what a child of the test program is told; the child confines itself
// and tries what it may and what it may not.
type cage struct {
	Rules               Rules
	State, Etc, Foreign string // directories
	Free, Port          int    // a port of somebody else, and its own
}

const cageEnv = "TSES_TEST_CAGE"

func TestMain(m *testing.M) {
	if text := os.Getenv(cageEnv); text != "" {
		child(text)
		os.Exit(0)
	}
	if program := os.Getenv(suiteEnv); program != "" {
		fmt.Println(runFiltered(program))
		os.Exit(9)
	}
	os.Exit(m.Run())
}

// child prints what became of each try.
func child(text string) {
	var c cage
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		fmt.Println(err)
		os.Exit(9)
	}
	entered, err := Enter(c.Rules)
	if err != nil {
		fmt.Println(err)
		os.Exit(9)
	}
	report := entered.Report
	results := map[string]string{"uid": strconv.Itoa(os.Getuid()), "gid": strconv.Itoa(os.Getgid())}
	for path, f := range entered.Files {
		text := make([]byte, 6)
		_, err := f.ReadAt(text, 0)
		results["opened "+path] = string(text) + " " + outcome(errors.Join(err, f.Close()))
	}
	results["open files"] = openFiles(c.Rules.Open)
	for name, try := range c.tries() {
		results[name] = outcome(try())
	}
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.Port))
	if err != nil {
		fmt.Println(err)
		os.Exit(9)
	}
	report = append(report, Settle()...)
	for name, try := range c.settledTries(ln) {
		results[name] = outcome(try())
	}
	for _, key := range []string{"NoNewPrivs", "CapBnd", "CapEff", "CapPrm", "Seccomp", "Groups"} {
		results[key] = status(key)
	}
	if err := json.NewEncoder(os.Stdout).Encode(struct {
		Report  Report
		Results map[string]string
	}{report, results}); err != nil {
		os.Exit(9)
	}
}

// openFiles tells which of those are still open.
func openFiles(paths []string) string {
	var open []string
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err.Error()
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && slices.Contains(paths, to) {
			open = append(open, to)
		}
	}
	return strings.Join(open, " ")
}

func outcome(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func status(key string) string {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return "missing"
}

func (c cage) tries() map[string]func() error {
	read := func(path string) func() error {
		return func() error { _, err := os.ReadFile(path); return err }
	}
	return map[string]func() error{
		"serve":            c.serve,
		"connect away":     func() error { return dial(c.Free) },
		"listen elsewhere": listenElsewhere,
		"fast open": func() error {
			return c.fastOpen(func(fd int, to *unix.SockaddrInet4) error {
				return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, to)
			})
		},
		"fast open by message": func() error {
			return c.fastOpen(func(fd int, to *unix.SockaddrInet4) error {
				return unix.Sendmsg(fd, []byte("x"), nil, to, unix.MSG_FASTOPEN)
			})
		},
		"fast open by messages": func() error { return c.fastOpen(sendMessages) },
		"save":                  c.save,
		"read etc":              read(filepath.Join(c.Etc, "config.toml")),
		"write etc":             func() error { return os.WriteFile(filepath.Join(c.Etc, "more"), nil, 0o600) },
		"change etc":            func() error { return os.WriteFile(filepath.Join(c.Etc, "config.toml"), nil, 0o600) },
		"read foreign":          read(filepath.Join(c.Foreign, "secret")),
		"write foreign":         func() error { return os.WriteFile(filepath.Join(c.Foreign, "more"), nil, 0o600) },
		"device":                useDevice,
		"exec":                  func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) },
		"command":               func() error { return exec.Command("/bin/true").Run() },
		"packets": func() error {
			_, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
			return err
		},
		"UDP":    func() error { _, err := net.ListenPacket("udp", "127.0.0.1:0"); return err },
		"signal": func() error { return unix.Kill(os.Getppid(), unix.SIGWINCH) },
		"mount":  func() error { return unix.Mount("none", c.State, "tmpfs", 0, "") },
		"reboot": func() error { return unix.Reboot(0) },
		"ptrace": func() error { return unix.PtraceAttach(os.Getppid()) },
		"user":   func() error { _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, 0, 0, 0); return number(e) },
		"kexec":  func() error { _, _, e := unix.RawSyscall(unix.SYS_KEXEC_FILE_LOAD, 0, 0, 0); return number(e) },
		"clone3": func() error { _, _, e := unix.RawSyscall(unix.SYS_CLONE3, 0, 0, 0); return number(e) },
		"of tomorrow": func() error {
			_, _, e := unix.RawSyscall(lastKnown+1, 0, 0, 0)
			return number(e)
		},
		"namespace":   func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"keys":        func() error { _, err := unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, 0, 0, 0, 0); return err },
		"memory file": func() error { _, err := unix.MemfdCreate("x", 0); return err },
		"link":        func() error { return os.Symlink("x", filepath.Join(c.State, "link")) },
		"process": func() error {
			_, _, e := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD)|unix.CLONE_NEWUSER, 0, 0)
			return number(e)
		},
		"limits":   func() error { return unix.Prlimit(os.Getppid(), unix.RLIMIT_CORE, nil, &unix.Rlimit{}) },
		"debugger": func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) },
		"routes":   func() error { _, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE); return err },
		"netfilter": func() error {
			_, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
			return err
		},
		"code":          code,
		"write code":    func() error { return mapMemory(unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC) },
		"type":          control(unix.TIOCSTI),
		"discipline":    control(unix.TIOCSETD),
		"tunnel":        control(unix.TUNSETIFF),
		"own set-user":  func() error { return c.chmod("a", unix.S_ISUID|0o700) },
		"threads":       threads,
		"wake a thread": func() error { return unix.Tgkill(os.Getpid(), unix.Gettid(), 0) },
		"own mode":      func() error { return c.chmod("b", 0o640) },
		"set-user-ID": func() error {
			return os.Chmod(filepath.Join(c.Foreign, "secret"), 0o4755)
		},
	}
}

// settledTries are those of a process that listens.
func (c cage) settledTries(ln net.Listener) map[string]func() error {
	return map[string]func() error{
		"settled: serve": func() error { return c.serveOn(ln) },
		"settled: listen unbound": func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Listen(fd, 1)
		},
		"settled: bind": func() error {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(c.State, "socket")})
		},
	}
}

// fastOpen connects to somebody else's port by sending.
func (c cage) fastOpen(send func(fd int, to *unix.SockaddrInet4) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return send(fd, &unix.SockaddrInet4{Port: c.Free, Addr: [4]byte{127, 0, 0, 1}})
}

// sendMessages is sendmmsg(2), for which package unix has nothing.
func sendMessages(fd int, to *unix.SockaddrInet4) error {
	name := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], uint16(to.Port))
	text := []byte("x")
	part := unix.Iovec{Base: &text[0], Len: 1}
	message := struct {
		header unix.Msghdr
		length uint32
		_      uint32
	}{header: unix.Msghdr{Name: (*byte)(unsafe.Pointer(&name)), Namelen: unix.SizeofSockaddrInet4, Iov: &part, Iovlen: 1}}
	_, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), 1, unix.MSG_FASTOPEN, 0, 0)
	return number(e)
}

func number(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// serve listens on the process's port and speaks with itself there, on many
// threads.
func (c cage) serve() error {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.Port))
	if err != nil {
		return err
	}
	return c.serveOn(ln)
}

func (c cage) serveOn(ln net.Listener) error {
	defer ln.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_, err = conn.Write([]byte("well"))
			err = errors.Join(err, conn.Close())
		}
		served <- err
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	if string(said) != "well" {
		err = errors.Join(err, fmt.Errorf("read %q", said))
	}
	return errors.Join(err, <-served)
}

func dial(port int) error {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	return conn.Close()
}

func listenElsewhere() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return ln.Close()
}

// save is how state is written: a new file, a rename, a sync.
func (c cage) save() error {
	path := filepath.Join(c.State, "soft1.state")
	if err := os.WriteFile(path+".tmp", []byte("state"), 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(c.State, "elements"), 0o700); err != nil {
		return err
	}
	return os.Rename(path+".tmp", filepath.Join(c.State, "elements", "soft1.state"))
}

// chmod gives a file of its own a mode.
func (c cage) chmod(name string, mode uint32) error {
	path := filepath.Join(c.State, name)
	return errors.Join(os.WriteFile(path, nil, 0o600), unix.Chmod(path, mode))
}

// threads has more of them at a time than there were before.
func threads() error {
	const more = 40
	there, enough := make(chan bool), make(chan bool)
	for range more {
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends
			there <- true
			<-enough
		}()
	}
	defer close(enough)
	for range more {
		select {
		case <-there:
		case <-time.After(20 * time.Second):
			return errors.New("no further threads")
		}
	}
	return nil
}

// mapMemory maps a page and lets it go.
func mapMemory(protection int) error {
	b, err := unix.Mmap(-1, 0, 4096, protection, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	return unix.Munmap(b)
}

// code makes what was written be executed.
func code() error {
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	return errors.Join(unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC), unix.Munmap(b))
}

// control makes a request that no device answers.
func control(request uint) func() error {
	return func() error {
		err := unix.IoctlSetInt(-1, request, 0)
		if err == unix.EBADF { // the kernel got as far as that
			return nil
		}
		return err
	}
}

func useDevice() error {
	f, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write([]byte("x")); err != nil {
		return err
	}
	// Not a terminal; Landlock would say EACCES first.
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != unix.ENOTTY {
		return err
	}
	return nil
}

// newCage prepares the directories and the ports.
func newCage(t *testing.T) cage {
	t.Helper()
	foreign, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { foreign.Close() })
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := own.Addr().(*net.TCPAddr).Port
	own.Close()
	top := t.TempDir()
	c := cage{
		State: filepath.Join(top, "state"), Etc: filepath.Join(top, "etc"), Foreign: filepath.Join(top, "foreign"),
		Free: foreign.Addr().(*net.TCPAddr).Port, Port: port,
	}
	for _, dir := range []string{c.State, c.Etc, c.Foreign} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{filepath.Join(c.Etc, "config.toml"), filepath.Join(c.Foreign, "secret")} {
		if err := os.WriteFile(file, []byte("text"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	// The rights of other users are no obstacle: what is refused is refused
	// by what is tested here.
	for _, dir := range []string{top, filepath.Dir(top)} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{c.State, c.Etc, c.Foreign, filepath.Join(c.Etc, "config.toml"), filepath.Join(c.Foreign, "secret")} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	c.Rules = Rules{
		ReadWrite: []string{c.State}, Read: []string{c.Etc, "/proc", filepath.Join(top, "missing")},
		Libraries: []string{"/lib", "/lib64", "/usr/lib"}, Devices: []string{"/dev"}, Ports: []uint16{uint16(port)},
	}
	return c
}

// prepare makes a copy of the test program that any user may execute, and what
// it is told.
func prepare(t *testing.T, c cage) (program, text string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(filepath.Dir(c.State), "program")
	if err := os.WriteFile(program, code, 0o755); err != nil {
		t.Fatal(err)
	}
	told, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return program, string(told)
}

// runCage runs the child.
func runCage(t *testing.T, c cage) (Report, map[string]string) {
	t.Helper()
	program, text := prepare(t, c)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), cageEnv+"="+text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var said struct {
		Report  Report
		Results map[string]string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return said.Report, said.Results
}

func TestEnter(t *testing.T) {
	c := newCage(t)
	if os.Getuid() == 0 {
		c.Rules.UID, c.Rules.GID = 7777, 7777
	}
	report, got := runCage(t, c)
	applied := make(map[string]bool)
	for _, s := range report {
		applied[s.What] = s.Err == ""
		t.Logf("%s: %s", s.What, s.Err)
	}
	want := map[string]string{
		"serve": "ok", "save": "ok", "read etc": "ok", "device": "ok",
		"exec": "EPERM", "command": "EPERM", "packets": "EAFNOSUPPORT", "UDP": "EPROTONOSUPPORT", "mount": "EPERM", "reboot": "EPERM",
		"of tomorrow": "ENOSYS", "namespace": "EPERM", "keys": "EPERM", "memory file": "EPERM", "link": "EPERM", "process": "EPERM",
		"limits": "EPERM", "debugger": "EPERM", "routes": "ok", "netfilter": "EPROTONOSUPPORT", "code": "EPERM", "write code": "EPERM",
		"threads": "ok", "wake a thread": "ok", "own mode": "ok",
		"type": "EPERM", "discipline": "EPERM", "tunnel": "EPERM", "own set-user": "EPERM",
		"ptrace": "EPERM", "user": "EPERM", "kexec": "EPERM", "clone3": "ENOSYS",
		"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "0000000000000000", "CapPrm": "0000000000000000",
		"set-user-ID": "EPERM",
		"fast open":   "EPERM", "fast open by message": "EPERM", "fast open by messages": "EPERM",
		"settled: serve": "ok", "settled: listen unbound": "EPERM", "settled: bind": "EPERM",
	}
	if applied["files (landlock)"] {
		for _, name := range []string{"write etc", "change etc", "read foreign", "write foreign"} {
			want[name] = "EACCES"
		}
	}
	if applied["TCP ports (landlock)"] {
		want["connect away"], want["listen elsewhere"] = "EACCES", "EACCES"
	}
	if applied["signals and sockets of others (landlock)"] {
		want["signal"] = "EPERM"
	}
	if os.Getuid() == 0 {
		want["uid"], want["gid"], want["CapBnd"], want["Groups"] = "7777", "7777", "0000000000000000", ""
	} else {
		delete(want, "set-user-ID") // its own file
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: got %s, want %s", name, got[name], w)
		}
	}
	if needs.All() && len(applied) < 9 {
		t.Errorf("the kernel has not all: %v", report)
	}
}

// What is denied is not so without Enter: the tries are good ones.
func TestWithoutEnter(t *testing.T) {
	c := newCage(t)
	for _, name := range []string{"serve", "save", "read etc", "change etc", "read foreign", "write foreign", "device", "connect away", "listen elsewhere", "command", "signal",
		"memory file", "link", "debugger", "routes", "netfilter", "code", "write code", "type", "discipline", "tunnel", "own mode"} {
		if name == "signal" && os.Getppid() == 1 {
			continue
		}
		if err := c.tries()[name](); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_fastopen"); err == nil && strings.TrimSpace(string(text)) != "0" {
		for _, name := range []string{"fast open", "fast open by message", "fast open by messages"} {
			if err := c.tries()[name](); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range c.settledTries(ln) {
		if err := try(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeepCapability(t *testing.T) {
	if os.Getuid() != 0 {
		needs.Missing(t, "needs root, to have capabilities")
	}
	c := newCage(t)
	c.Rules.UID, c.Rules.GID, c.Rules.Keep = 7777, 7777, []int{unix.CAP_SYS_RAWIO}
	_, got := runCage(t, c)
	const rawIO = "0000000000020000"
	if got["uid"] != "7777" || got["CapEff"] != rawIO || got["CapBnd"] != rawIO {
		t.Errorf("user %s, capabilities %s of %s; want 7777, %s", got["uid"], got["CapEff"], got["CapBnd"], rawIO)
	}
}

// What is opened before is there afterwards, until it is closed, and cannot be
// opened again.
func TestOpen(t *testing.T) {
	c := newCage(t)
	if os.Getuid() == 0 {
		c.Rules.UID, c.Rules.GID = 7777, 7777
	}
	secret, missing := filepath.Join(c.Foreign, "secret"), filepath.Join(c.Foreign, "missing")
	if err := os.WriteFile(secret, []byte("memory"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Rules.Open = []string{secret, missing}
	report, got := runCage(t, c)
	for name, want := range map[string]string{"opened " + secret: "memory ok", "opened " + missing: "", "open files": "", "read foreign": "EACCES"} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	if len(report) < 2 || report[0].Err != "" || report[1].What != "open "+missing || report[1].Err == "" {
		t.Errorf("report: %v", report)
	}
}

// A user that cannot be changed to is an error, and nothing goes on as before.
func TestEnterFails(t *testing.T) {
	if os.Getuid() != 0 {
		needs.Missing(t, "needs root, to give it up")
	}
	c := newCage(t)
	c.Rules.UID, c.Rules.GID = 7778, 7778
	program, text := prepare(t, c)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), cageEnv+"="+text)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || !strings.Contains(string(out), "operation not permitted") {
		t.Errorf("got %v\n%s", err, out)
	}
}

// No system call is in two lists, and the allowed ones stay few.
func TestSystemCalls(t *testing.T) {
	seen := make(map[uint32]string)
	count := 0
	for _, g := range append(append(allowed[:len(allowed):len(allowed)], allowedToo...), group{"unknown", unknown}) {
		for _, number := range g.calls {
			if other, ok := seen[number]; ok {
				t.Errorf("%d is in %q and in %q", number, other, g.why)
			}
			seen[number] = g.why
			if g.why != "unknown" {
				count++
			}
		}
	}
	t.Logf("%d system calls are allowed whatever their arguments, in a program of %d instructions", count, len(filter()))
	if count > 140 {
		t.Errorf("%d system calls are allowed", count)
	}
	for _, number := range []uint32{unix.SYS_EXECVE, unix.SYS_PTRACE, unix.SYS_MOUNT, unix.SYS_BPF, unix.SYS_UNSHARE, unix.SYS_IO_URING_ENTER} {
		if why, ok := seen[number]; ok {
			t.Errorf("%d is allowed for %q", number, why)
		}
	}
}
