//go:build linux

package network

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What the kernel shows of a link that is lost, by file.
func TestLost(t *testing.T) {
	files := map[string]string{"ifindex": "2\n", "carrier": "1\n", "carrier_changes": "3\n"}
	write := func(dir string, files map[string]string) {
		if err := os.MkdirAll(filepath.Join(dir, "eth0"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, "eth0", name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct{ name, file, text, want string }{
		{"nothing", "carrier", "1\n", ""},
		{"the cable is out", "carrier", "0\n", "cable is out"},
		{"it was out", "carrier_changes", "5\n", "cable was out"},
		{"another adapter", "ifindex", "4\n", "another one"},
		{"nonsense", "ifindex", "x\n", "invalid syntax"},
	} {
		dir := t.TempDir()
		write(dir, files)
		p, err := look(dir, "eth0")
		if err != nil || p != (plug{name: "eth0", index: 2, in: true, changes: 3}) {
			t.Fatalf("got %+v, %v", p, err)
		}
		write(dir, map[string]string{tt.file: tt.text})
		switch err := p.lost(dir); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (!errors.Is(err, errLinkLost) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := (plug{name: "eth0"}).lost(t.TempDir()); !errors.Is(err, errNoInterface) {
		t.Errorf("an interface that has gone: %v", err)
	}
}

// A cable that is out takes the address away and brings it back; one that is
// plugged into another network brings another; an adapter that comes back is
// another interface of the same name.
func TestCable(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	const soon = 15 * time.Second
	here := routerOf(t, "10.9.0")
	given := start(t, Config{Resolv: filepath.Join(t.TempDir(), "resolv.conf")})
	first := next(t, given, 30*time.Second)
	inNetworkOf(t, here, "ip", "link", "set", "peer7", "down")
	if s := next(t, given, soon); s.Connected() {
		t.Errorf("without a cable: %+v", s)
	}
	checkNothing(t)
	inNetworkOf(t, here, "ip", "link", "set", "peer7", "up")
	if s := next(t, given, soon); !s.equal(first) {
		t.Errorf("the cable is in again: got %+v, want %+v", s, first)
	}
	checkInterface(t, first.Address.String())
	// Shorter than what is looked at.
	inNetworkOf(t, here, "sh", "-c", "ip link set peer7 down; ip link set peer7 up")
	if s := next(t, given, soon); s.Connected() {
		t.Errorf("the cable was out: %+v", s)
	}
	if s := next(t, given, soon); !s.equal(first) {
		t.Errorf("the cable was out: got %+v, want %+v", s, first)
	}
	run(t, "ip", "link", "del", "eth7")
	if s := next(t, given, soon); s.Connected() {
		t.Errorf("without an adapter: %+v", s)
	}
	routerOf(t, "10.8.0")
	s := next(t, given, soon)
	if !netip.MustParsePrefix("10.8.0.0/24").Contains(s.Address.Addr()) || s.Gateway != netip.MustParseAddr("10.8.0.1") {
		t.Errorf("in another network: got %+v", s)
	}
}

// An address of the configuration stays without a cable, for who listens on it,
// and is given again to an adapter that comes back.
func TestStaticCable(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	c := Config{
		Interface: "eth7", Address: netip.MustParsePrefix("10.9.0.20/24"), Gateway: netip.MustParseAddr("10.9.0.1"),
		Resolv: filepath.Join(t.TempDir(), "resolv.conf"),
	}
	given := start(t, c)
	const soon = 15 * time.Second
	for range 2 {
		here := routerOf(t, "10.9.0")
		if s := next(t, given, soon); s.Address != c.Address {
			t.Errorf("got %+v", s)
		}
		checkInterface(t, "10.9.0.20/24")
		inNetworkOf(t, here, "ip", "link", "set", "peer7", "down")
		if s := next(t, given, soon); s.Connected() {
			t.Errorf("without a cable: %+v", s)
		}
		checkInterface(t, "10.9.0.20/24")
		run(t, "ip", "link", "del", "eth7")
	}
}

// A cable that is plugged in does not wait for the end of a pause.
func TestPauseCutShort(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	run(t, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
	run(t, "ip", "link", "set", "peer7", "up")
	n := &network{Config: Config{Interface: "eth7"}, log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	tries, ended := make(chan time.Time, 100), make(chan error, 1)
	go func() {
		ended <- n.cable(ctx, func(context.Context, string) error {
			tries <- time.Now()
			return errors.New("it fails at once")
		})
	}()
	for range 4 { // the next pause is of 8 s
		<-tries
	}
	run(t, "ip", "link", "set", "peer7", "down")
	run(t, "ip", "link", "set", "peer7", "up")
	select {
	case <-tries:
	case <-time.After(5 * time.Second):
		t.Error("the cable was out and in, and nothing is tried")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
