//go:build linux

// Package network connects a box: an address by DHCP with a lease that is
// renewed, or the address of the configuration, and a name by mDNS.
package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
)

// Config is how the box is connected. The zero value is DHCP on the first
// Ethernet interface.
type Config struct {
	Interface string       // "eth0"; empty: the first that is not loopback
	Address   netip.Prefix // "192.168.1.20/24"; zero: by DHCP
	Gateway   netip.Addr
	DNS       []netip.Addr // in the place of what a DHCP server says
	Resolv    string       // the file for DNS servers; empty: /tmp/resolv.conf
}

// Settings are what an interface is given.
type Settings struct {
	Address netip.Prefix
	Gateway netip.Addr // zero: none
	DNS     []netip.Addr
	NTP     []netip.Addr
}

// Run connects the box until the context is done. connected is called each
// time with what the interface was given. A missing interface, a cable that is
// out and a server that does not answer are waited for.
func Run(ctx context.Context, c Config, log *slog.Logger, connected func(Settings)) {
	retry(ctx, log, func(ctx context.Context) error {
		link, err := c.link()
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("%s: up: %w", link.Attrs().Name, err)
		}
		give := func(s Settings) error {
			if len(c.DNS) > 0 {
				s.DNS = c.DNS
			}
			if err := c.apply(link, s); err != nil {
				return err
			}
			log.Info("network", "interface", link.Attrs().Name, "address", s.Address, "gateway", s.Gateway, "dns", s.DNS)
			connected(s)
			return nil
		}
		if c.Address.IsValid() {
			if err := give(Settings{Address: c.Address, Gateway: c.Gateway}); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}
		return lease(ctx, link.Attrs().Name, log, give)
	})
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

var errNoInterface = errors.New("no network interface")

// link finds the interface.
func (c Config) link() (netlink.Link, error) {
	if c.Interface != "" {
		link, err := netlink.LinkByName(c.Interface)
		if err != nil {
			return nil, fmt.Errorf("%w %s: %w", errNoInterface, c.Interface, err)
		}
		return link, nil
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	for _, link := range links {
		if a := link.Attrs(); a.Flags&net.FlagLoopback == 0 && len(a.HardwareAddr) == 6 {
			return link, nil
		}
	}
	return nil, fmt.Errorf("%w with an Ethernet address; is the cable's adapter plugged in?", errNoInterface)
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
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("%s: gateway %s: %w", name, s.Gateway, err)
		}
	}
	return c.resolver(s.DNS)
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
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("DNS servers: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("DNS servers: %w", err)
	}
	return nil
}
