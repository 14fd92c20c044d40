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
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// leaseTime is taken where a server names none; leastLease bounds how often a
// server can make the box ask.
const (
	leaseTime  = time.Hour
	leastLease = 20 * time.Second
)

// lease gets an address and keeps it until it expires or the context is done
// (RFC 2131, 4.4.5).
func lease(ctx context.Context, iface string, log *slog.Logger, give func(Settings) error) error {
	client, err := nclient4.New(iface)
	if err != nil {
		return fmt.Errorf("%s: DHCP: %w", iface, err)
	}
	defer client.Close()
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "tses"
	}
	named := dhcpv4.WithOption(dhcpv4.OptHostName(hostname))
	wants := dhcpv4.WithRequestedOptions(dhcpv4.OptionNTPServers)
	l, err := client.Request(ctx, named, wants)
	if err != nil {
		return fmt.Errorf("%s: DHCP: %w", iface, err)
	}
	for {
		s, err := settings(l.ACK)
		if err != nil {
			return err
		}
		if err := give(s); err != nil {
			return err
		}
		if l, err = renew(ctx, client, l, log, named, wants); err != nil {
			return fmt.Errorf("%s: DHCP: %w", iface, err)
		}
	}
}

// renew waits for half of the lease, and then asks again and again until it is
// renewed or has expired.
func renew(ctx context.Context, client *nclient4.Client, l *nclient4.Lease, log *slog.Logger, mods ...dhcpv4.Modifier) (*nclient4.Lease, error) {
	length := max(l.ACK.IPAddressLeaseTime(leaseTime), leastLease)
	expires := l.CreationTime.Add(length)
	wait := l.ACK.IPAddressRenewalTime(length / 2)
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(max(wait, leastLease/4)):
		}
		renewed, err := client.Renew(ctx, l, mods...)
		var nak *nclient4.ErrNak
		switch {
		case err == nil:
			return renewed, nil
		case errors.As(err, &nak), time.Now().After(expires):
			return nil, fmt.Errorf("the lease of %s is lost: %w", l.ACK.YourIPAddr, err)
		}
		log.Warn("network: the lease is not renewed yet", "address", l.ACK.YourIPAddr, "expires", expires.UTC(), "err", err)
		wait = time.Until(expires) / 2
	}
}

// settings reads an acknowledgement.
func settings(ack *dhcpv4.DHCPv4) (Settings, error) {
	ip, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	mask := ack.SubnetMask()
	if ones, bits := mask.Size(); ok && bits == 32 && ones > 0 {
		s := Settings{Address: netip.PrefixFrom(ip, ones), DNS: addresses(ack.DNS()), NTP: addresses(ack.NTPServers())}
		if routers := addresses(ack.Router()); len(routers) > 0 {
			s.Gateway = routers[0]
		}
		return s, nil
	}
	return Settings{}, fmt.Errorf("DHCP server %s offers address %s with mask %s, which is none", ack.ServerIdentifier(), ack.YourIPAddr, mask)
}

func addresses(ips []net.IP) []netip.Addr {
	var all []netip.Addr
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip.To4()); ok {
			all = append(all, a)
		}
	}
	return all
}
