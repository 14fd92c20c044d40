//go:build linux

// Package network connects a box: an address by DHCP with a lease that is
// renewed, or the address of the configuration.
package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// Config is how the box is connected. The zero value is DHCP on the first
// Ethernet interface.
type Config struct {
	Interface string       // "eth0"; empty: the first that is not loopback
	Address   netip.Prefix // "192.168.1.20/24"; zero: by DHCP
	Gateway   netip.Addr
	DNS       []netip.Addr // in the place of what a DHCP server says
	Resolv    string       // the file for DNS servers; empty: /tmp/resolv.conf

	// Join connects to another medium than a cable, such as a Wi-Fi network,
	// and chooses the interface: Interface is not looked at. It calls joined
	// with the interface's name and a context that ends when the connection is
	// lost. joined returns soon after that, or earlier with what keeps the
	// interface from getting an address. Join then returns why it is not
	// connected any more, and is called again after a pause.
	Join func(ctx context.Context, joined func(ctx context.Context, iface string) error) error
}

// Settings are what an interface is given. Those without an address say that
// there is none any more.
type Settings struct {
	Interface string
	Address   netip.Prefix
	Gateway   netip.Addr // zero: none
	DNS       []netip.Addr
	NTP       []netip.Addr
}

// Connected tells whether there is an address.
func (s Settings) Connected() bool { return s.Address.IsValid() }

func (s Settings) equal(o Settings) bool {
	return s.Interface == o.Interface && s.Address == o.Address && s.Gateway == o.Gateway &&
		slices.Equal(s.DNS, o.DNS) && slices.Equal(s.NTP, o.NTP)
}

// Run connects the box until the context is done. connected is called with what
// the interface was given each time that this has changed, and with the zero
// Settings when the box is connected no more. A missing interface, a cable that
// is out and a server that does not answer are waited for.
//
// When the context is done the interface keeps its address, and connected is not
// called: sessions that end in good order need the network as long as they last.
func Run(ctx context.Context, c Config, log *slog.Logger, connected func(Settings)) {
	n := &network{Config: c, log: log, whole: ctx, connected: connected}
	join := c.Join
	if join == nil {
		join = n.cable
	}
	retry(ctx, log, func(ctx context.Context) error { return join(ctx, n.joined) })
}

// network is a Config at work.
type network struct {
	Config
	log       *slog.Logger
	whole     context.Context // of Run: its end is the box's, not the connection's
	connected func(Settings)
	last      Settings
	client    *dhcp // of the last interface
}

// joined gives the interface its address, until the context is done: the box
// ends, or the connection to the medium has.
func (n *network) joined(ctx context.Context, name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%w %s: %w", errNoInterface, name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("%s: up: %w", name, err)
	}
	give := func(s Settings) error {
		if !s.Connected() {
			defer n.tell(s)
			return takeAway(name)
		}
		s.Interface = name
		if len(n.DNS) > 0 {
			s.DNS = n.DNS
		}
		if err := n.apply(link, s); err != nil {
			return err
		}
		n.tell(s)
		return nil
	}
	// No address outlives its lease (RFC 2131, 4.4.5). One of the configuration
	// stays: what listens on it and nowhere else has to go on.
	if !n.Address.IsValid() {
		err := n.lease(ctx, link, give)
		if n.whole.Err() == nil {
			err = errors.Join(err, give(Settings{}))
		}
		return err
	}
	if err := give(Settings{Address: n.Address, Gateway: n.Gateway}); err != nil {
		return err
	}
	<-ctx.Done()
	if n.whole.Err() == nil {
		n.tell(Settings{})
	}
	return ctx.Err()
}

// lease is DHCP. The lease of an interface that was lost and is there again is
// asked for once more.
func (n *network) lease(ctx context.Context, link netlink.Link, give func(Settings) error) error {
	name, index := link.Attrs().Name, link.Attrs().Index
	if len(link.Attrs().HardwareAddr) != len(hardwareAddr{}) {
		return fmt.Errorf("%s has no Ethernet address; DHCP needs one", name)
	}
	mac := hardwareAddr(link.Attrs().HardwareAddr)
	host, err := os.Hostname()
	if err != nil {
		host = "tses"
	}
	if n.client == nil || n.client.mac != mac {
		n.client = &dhcp{mac: mac, log: n.log}
	}
	n.client.host, n.client.give = host, give
	n.client.raw = func() (wire, error) { return openRaw(index, mac) }
	n.client.routed = func(ctx context.Context, server netip.Addr) (wire, error) { return openRouted(ctx, name, server) }
	return fmt.Errorf("%s: DHCP: %w", name, n.client.run(ctx))
}

// tell says what has changed.
func (n *network) tell(s Settings) {
	if s.equal(n.last) {
		return
	}
	if s.Connected() {
		n.log.Info("network", "interface", s.Interface, "address", s.Address, "gateway", s.Gateway, "dns", s.DNS)
	} else {
		n.log.Warn("network: the address is gone", "interface", n.last.Interface, "address", n.last.Address)
	}
	n.last = s
	n.connected(s)
}

// The pauses between two tries.
const (
	firstPause = time.Second
	mostPause  = time.Minute
)

// retry calls f until the context is done, each time after a longer pause, and
// says why when the reason is another than the last one.
func retry(ctx context.Context, log *slog.Logger, f func(context.Context) error) {
	pause, last := firstPause, ""
	for ctx.Err() == nil {
		began := time.Now()
		err := f(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > mostPause {
			pause = firstPause // it had worked
		}
		if err != nil && err.Error() != last {
			log.Warn("network: not connected", "err", err, "next try in", pause)
			last = err.Error()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
	}
}

// apply gives the interface its address, and takes away those it had.
func (c Config) apply(link netlink.Link, s Settings) error {
	name := link.Attrs().Name
	want, err := netlink.ParseAddr(s.Address.String())
	if err != nil {
		return fmt.Errorf("%s: address %s: %w", name, s.Address, err)
	}
	if err := netlink.AddrReplace(link, want); err != nil {
		return fmt.Errorf("%s: address %s: %w", name, s.Address, err)
	}
	have, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("%s: addresses: %w", name, err)
	}
	for _, old := range have {
		if !old.Equal(*want) {
			if err := netlink.AddrDel(link, &old); err != nil {
				return fmt.Errorf("%s: old address %s: %w", name, old.IPNet, err)
			}
		}
	}
	if s.Gateway.IsValid() {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: s.Gateway.AsSlice(), Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}
		if !s.Address.Contains(s.Gateway) {
			route.SetFlag(netlink.FLAG_ONLINK) // some providers give addresses of networks with nothing else in them
		}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("%s: gateway %s: %w", name, s.Gateway, err)
		}
	}
	return c.resolver(s.DNS)
}

// takeAway takes the addresses of an interface, and with them its routes. An
// interface that has gone has none.
func takeAway(name string) error {
	link, err := netlink.LinkByName(name)
	var gone netlink.LinkNotFoundError
	if errors.As(err, &gone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	have, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("%s: addresses: %w", name, err)
	}
	var errs []error
	for _, a := range have {
		if err := netlink.AddrDel(link, &a); err != nil {
			errs = append(errs, fmt.Errorf("%s: take away the address %s: %w", name, a.IPNet, err))
		}
	}
	return errors.Join(errs...)
}

// resolver writes the file that Go's resolver reads.
func (c Config) resolver(servers []netip.Addr) error {
	path := c.Resolv
	if path == "" {
		path = "/tmp/resolv.conf"
	}
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	// Replaced, not written: it may be a link to the kernel's own, which cannot
	// be written.
	if err := statefile.Write(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("DNS servers: %w", err)
	}
	return nil
}
