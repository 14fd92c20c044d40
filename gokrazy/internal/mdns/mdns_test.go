//go:build linux

package mdns

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/needs"
)

// inside says that the test program runs in a network of its own.
const inside = "TSES_TEST_NETWORK"

// ownNetwork runs the test again in a network namespace that nothing of the
// host's is in, and returns true there.
func ownNetwork(t *testing.T) bool {
	if os.Getenv(inside) != "" {
		return true
	}
	for program, pkg := range map[string]string{
		"ip": "iproute2", "nsenter": "util-linux", "dig": "bind9-dnsutils", "avahi-daemon": "avahi-daemon", "avahi-browse": "avahi-utils", "dbus-daemon": "dbus",
	} {
		if _, err := exec.LookPath(program); err != nil {
			needs.Missing(t, "needs "+program+" (Debian's "+pkg+")")
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// neighbour is another machine at the other end of interface eth7, with Avahi.
// What it returns runs a command there.
func neighbour(t *testing.T) func(args ...string) (string, error) {
	t.Helper()
	const script = `mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p /run/dbus /run/avahi-daemon
until ip link show peer7 >/dev/null 2>&1; do sleep 0.05; done
ip addr add 10.9.0.1/24 dev peer7; ip link set peer7 up; ip link set lo up
dbus-daemon --system --nofork --nopidfile & printf '[server]\nuse-ipv6=no\n[rlimits]\n' >/run/avahi.conf
until [ -S /run/dbus/system_bus_socket ]; do sleep 0.05; done
exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f /run/avahi.conf`
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	// In a PID namespace of its own, all of it ends with the first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	run(t, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
	run(t, "ip", "link", "set", "peer7", "netns", fmt.Sprint(cmd.Process.Pid))
	run(t, "ip", "addr", "add", "10.9.0.20/24", "dev", "eth7")
	run(t, "ip", "link", "set", "eth7", "up")
	there := func(args ...string) (string, error) {
		c := exec.Command("nsenter", append([]string{"-t", fmt.Sprint(cmd.Process.Pid), "-n", "-m"}, args...)...)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	for range 100 {
		if _, err := there("avahi-browse", "-at"); err == nil {
			return there
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("Avahi does not come up")
	return nil
}

// start runs it until the function that it returns is called, which tells how
// long the end took.
func start(t *testing.T, log *bytes.Buffer) (stop func() time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Run(ctx, Config{
			Interface: "eth7", Address: netip.MustParsePrefix("10.9.0.20/24"), Name: "tses-0123", Service: "_racs._tcp", Port: 7777,
			Log: slog.New(slog.NewTextHandler(log, nil)),
		})
	}()
	stop = func() time.Duration {
		began := time.Now()
		cancel()
		<-ended
		return time.Since(began)
	}
	t.Cleanup(func() { stop() })
	return stop
}

// await repeats a command until its output has all of that.
func await(t *testing.T, there func(...string) (string, error), want []string, args ...string) {
	t.Helper()
	var out string
	var err error
	for range 50 {
		out, err = there(args...)
		missing := false
		for _, w := range want {
			missing = missing || !strings.Contains(out, w)
		}
		if !missing {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("%s: %v: want %q in\n%s", args[0], err, want, out)
}

// What programs of others make of it: the resolver of most Linux machines, and
// one that speaks plain DNS.
func TestOthers(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	there := neighbour(t)
	var log bytes.Buffer
	stop := start(t, &log)
	await(t, there, []string{"tses-0123.local\t10.9.0.20"}, "avahi-resolve", "-4", "-n", "tses-0123.local")
	await(t, there, []string{`;tses-0123;_racs._tcp;local;tses-0123.local;10.9.0.20;7777;`}, "avahi-browse", "-rptk", "_racs._tcp")
	await(t, there, []string{`_racs._tcp`}, "avahi-browse", "-aptk")

	query := func(args ...string) string {
		out, err := there(append([]string{"dig", "+time=2", "+tries=2", "-p", "5353", "@10.9.0.20"}, args...)...)
		if err != nil {
			t.Errorf("dig %v: %v", args, err)
		}
		return out
	}
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"address": {[]string{"tses-0123.local", "A"}, []string{"status: NOERROR", "tses-0123.local.\t10\tIN\tA\t10.9.0.20"}},
		"no IPv6": {[]string{"tses-0123.local", "AAAA"}, []string{"status: NOERROR", "tses-0123.local.\t10\tIN\tNSEC\ttses-0123.local. A\n"}},
		"browse": {[]string{"_racs._tcp.local", "PTR"}, []string{
			"_racs._tcp.local.\t10\tIN\tPTR\ttses-0123._racs._tcp.local.",
			"tses-0123._racs._tcp.local. 10\tIN\tSRV\t0 0 7777 tses-0123.local.", "tses-0123._racs._tcp.local. 10\tIN\tTXT\t\"\"", "A\t10.9.0.20",
		}},
		"types":        {[]string{"_services._dns-sd._udp.local", "PTR"}, []string{"PTR\t_racs._tcp.local."}},
		"no such type": {[]string{"tses-0123._racs._tcp.local", "A"}, []string{"NSEC\ttses-0123._racs._tcp.local. TXT SRV\n"}},
	} {
		out := query(tt.args...)
		for _, w := range tt.want {
			if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(w), " ")) {
				t.Errorf("%s: want %q in\n%s", name, w, out)
			}
		}
	}

	// The end comes at once, and others hear of it.
	if took := stop(); took > 2*time.Second {
		t.Errorf("it ends after %v", took)
	}
	for range 50 {
		out, err := there("avahi-browse", "-ptc", "_racs._tcp")
		if err == nil && !strings.Contains(out, "tses-0123") {
			if log.Len() > 0 {
				t.Errorf("the log:\n%s", log.String())
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("it has gone, and others still know it")
}

// Another that claims the name does not get it.
func TestClaimed(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	there := neighbour(t)
	var log bytes.Buffer
	stop := start(t, &log)
	await(t, there, []string{"10.9.0.20"}, "avahi-resolve", "-4", "-n", "tses-0123.local")
	if out, err := there("avahi-set-host-name", "tses-0123"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	await(t, there, []string{"tses-0123-2.local\t10.9.0.1"}, "avahi-resolve", "-4", "-n", "tses-0123-2.local")
	await(t, there, []string{"tses-0123.local\t10.9.0.20"}, "avahi-resolve", "-4", "-n", "tses-0123.local")
	stop()
	if !strings.Contains(log.String(), "who=10.9.0.1") {
		t.Errorf("the owner is not told:\n%s", log.String())
	}
}

// Nothing is left of one that has ended: an address that changes often does not
// fill the first process with sockets and goroutines.
func TestLeavesNothing(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	run(t, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
	run(t, "ip", "addr", "add", "10.9.0.20/24", "dev", "eth7")
	run(t, "ip", "link", "set", "peer7", "up")
	run(t, "ip", "link", "set", "eth7", "up")
	files := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	socket := func() bool {
		text, err := os.ReadFile("/proc/self/net/udp")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), ":14E9 ") // 5353
	}
	var log bytes.Buffer
	start(t, &log)()
	before, goroutines := files(), runtime.NumGoroutine()
	for i := range 20 {
		stop := start(t, &log)
		for range 100 {
			if socket() {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(i%4) * 100 * time.Millisecond) // among its probes, and behind them
		stop()
		if socket() {
			t.Fatal("its socket is still there")
		}
	}
	if got := files(); got > before {
		t.Errorf("%d files are open, %d were", got, before)
	}
	// One that has said that it ends may be there for a moment yet.
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%d goroutines, there were %d", runtime.NumGoroutine(), goroutines)
			break
		}
	}
	if log.Len() > 0 {
		t.Errorf("the log:\n%s", log.String())
	}
}

// An interface that is not there yet is waited for.
func TestNoInterface(t *testing.T) {
	var log bytes.Buffer
	start(t, &log)()
	if _, err := (Config{Interface: "none7", Address: netip.MustParsePrefix("10.9.0.20/24"), Name: "a", Service: "_b._tcp"}).listen(t.Context()); err == nil {
		t.Error("an interface that is not there is no error")
	}
}
