//go:build linux

package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/internal/needs"
)

// inside says that the test program runs in a network of its own.
const inside = "TSES_TEST_NETWORK"

// ownNetwork runs the test again in a network namespace that nothing of the
// host's is in, and returns true there.
func ownNetwork(t *testing.T) bool {
	if os.Getenv(inside) != "" {
		run(t, "ip", "link", "set", "lo", "up")
		run(t, "mount", "--make-rprivate", "/")
		run(t, "mount", "-t", "sysfs", "sysfs", "/sys") // shows this network
		return true
	}
	for _, program := range []string{"ip", "dnsmasq"} {
		if _, err := exec.LookPath(program); err != nil {
			needs.Missing(t, "needs "+program+" (Debian's iproute2 and dnsmasq-base)")
		}
	}
	if os.Getuid() != 0 {
		needs.Missing(t, "needs root, for a network namespace of its own")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// router starts a DHCP server at the other end of interface eth7. It is in a
// network namespace of its own, as another machine would be.
func router(t *testing.T) machine { return routerOf(t, "10.9.0") }

// machine is one that is at the other end.
type machine struct {
	pid    int
	leases string // the file of its DHCP server
}

// routerOf is router for the network with the given first three numbers.
func routerOf(t *testing.T, net string) machine {
	t.Helper()
	leases := filepath.Join(t.TempDir(), "leases")
	script := fmt.Sprintf(`until ip link show peer7 >/dev/null 2>&1; do sleep 0.05; done
ip addr add NET.1/24 dev peer7; ip link set peer7 up; ip link set lo up
exec dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=peer7 --dhcp-leasefile=%s --pid-file= --log-dhcp \
  --dhcp-range=NET.50,NET.60,2m --dhcp-option=option:router,NET.1 --dhcp-option=option:dns-server,NET.2 \
  --dhcp-option=option:ntp-server,NET.3 --dhcp-option-force=58,6`, leases)
	script = strings.ReplaceAll(script, "NET", net)
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	run(t, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
	run(t, "ip", "link", "set", "peer7", "netns", fmt.Sprint(cmd.Process.Pid))
	return machine{cmd.Process.Pid, leases}
}

// inNetworkOf runs a command at the other end of the cable.
func inNetworkOf(t *testing.T, m machine, args ...string) {
	t.Helper()
	run(t, "nsenter", append([]string{"-t", fmt.Sprint(m.pid), "-n"}, args...)...)
}

// expires is when the server takes its only address back.
func (m machine) expires(t *testing.T) (at int64) {
	t.Helper()
	text, err := os.ReadFile(m.leases)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &at); err != nil {
		t.Fatalf("leases: %v\n%s", err, text)
	}
	return at
}

// start runs the network and returns what it was given, each time.
func start(t *testing.T, c Config) <-chan Settings {
	t.Helper()
	given := make(chan Settings, 16)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Run(ctx, c, slog.New(slog.NewTextHandler(os.Stderr, nil)), func(s Settings) { given <- s })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return given
}

func next(t *testing.T, given <-chan Settings, within time.Duration) Settings {
	t.Helper()
	select {
	case s := <-given:
		return s
	case <-time.After(within):
		t.Fatalf("nothing within %v", within)
		return Settings{}
	}
}

// checkInterface compares with what the kernel says.
func checkInterface(t *testing.T, want string) {
	t.Helper()
	iface, err := net.InterfaceByName("eth7")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := iface.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	var v4 []string
	for _, a := range addrs {
		if strings.Contains(a.String(), ".") {
			v4 = append(v4, a.String())
		}
	}
	if !slices.Equal(v4, []string{want}) {
		t.Errorf("eth7 has %v, want %s alone", v4, want)
	}
	routes, err := exec.Command("ip", "route").Output()
	if err != nil || !strings.Contains(string(routes), "default via 10.9.0.1 dev eth7") {
		t.Errorf("routes: %v\n%s", err, routes)
	}
}

func checkNothing(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("ip", "-4", "addr", "show", "dev", "eth7").CombinedOutput(); err != nil || strings.Contains(string(out), "inet") {
		t.Errorf("eth7 still has an address: %v\n%s", err, out)
	}
}

func TestDHCP(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a lease to be renewed")
	}
	if !ownNetwork(t) {
		return
	}
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	given := start(t, Config{Resolv: resolv}) // before there is an interface
	time.Sleep(200 * time.Millisecond)
	server := router(t)
	first := next(t, given, 30*time.Second)
	if first.Gateway != netip.MustParseAddr("10.9.0.1") || !slices.Equal(first.NTP, []netip.Addr{netip.MustParseAddr("10.9.0.3")}) {
		t.Errorf("got %+v", first)
	}
	checkInterface(t, first.Address.String())
	if b, err := os.ReadFile(resolv); string(b) != "nameserver 10.9.0.2\n" {
		t.Errorf("DNS servers: %q, %v", b, err)
	}
	expires := server.expires(t)
	select {
	case again := <-given: // T1 is 6 s
		t.Errorf("a renewal that changed nothing is told: %+v", again)
	case <-time.After(10 * time.Second):
	}
	if again := server.expires(t); again <= expires {
		t.Error("the lease is not renewed")
	}
	checkInterface(t, first.Address.String())
}

// A medium such as Wi-Fi brings its own interface, and says when it is lost.
func TestJoin(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	router(t)
	lost := errors.New("the access point is gone")
	contexts := make(chan context.CancelCauseFunc)
	c := Config{Interface: "not looked at", Resolv: filepath.Join(t.TempDir(), "resolv.conf")}
	c.Join = func(ctx context.Context, joined func(context.Context, string) error) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		select {
		case contexts <- cancel:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := joined(ctx, "eth7")
		if cause := context.Cause(ctx); cause == lost {
			return cause
		}
		return err
	}
	given := start(t, c)
	for range 2 {
		lose := <-contexts
		s := next(t, given, 30*time.Second)
		if s.Interface != "eth7" || !s.Connected() {
			t.Errorf("got %+v", s)
		}
		checkInterface(t, s.Address.String())
		lose(lost)
		if s := next(t, given, 5*time.Second); s.Connected() {
			t.Errorf("got %+v, want none: the connection is lost", s)
		}
		checkNothing(t)
	}
	<-contexts // called again
}

// Whatever comes by is no danger to the first process: frames that lie about
// their lengths, which ended it once.
func TestForeignFrames(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	run(t, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
	run(t, "ip", "link", "set", "peer7", "up")
	start(t, Config{Interface: "eth7", Resolv: filepath.Join(t.TempDir(), "resolv.conf")})
	peer, err := net.InterfaceByName("peer7")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: peer.Index}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30}); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, maxFrame)
	for range 2 { // the client asks, and after all that asks again
		for {
			n, _, err := unix.Recvfrom(fd, frame, 0)
			if err != nil {
				t.Fatalf("the client does not ask: %v", err)
			}
			if n > etherHeader+ipHeader+udpHeader && frame[etherHeader+9] == protoUDP && frame[etherHeader+ipHeader+3] == serverPort {
				break
			}
		}
		for total := range uint16(40) {
			if _, err := unix.Write(fd, shortFrame(total)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestStatic(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	router(t)
	c := Config{
		Interface: "eth7", Address: netip.MustParsePrefix("10.9.0.20/24"), Gateway: netip.MustParseAddr("10.9.0.1"),
		Resolv: filepath.Join(t.TempDir(), "resolv.conf"),
	}
	run(t, "ip", "addr", "add", "10.8.0.1/24", "dev", "eth7") // of an earlier life
	next(t, start(t, c), 10*time.Second)
	checkInterface(t, "10.9.0.20/24")
}
