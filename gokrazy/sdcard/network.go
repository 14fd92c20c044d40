package sdcard

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
)

// Network is the table [network] of the configuration. All keys are optional;
// without any, the first Ethernet interface gets its address by DHCP.
type Network struct {
	Interface string   `toml:"interface"` // "eth0"; default the first Ethernet interface, or the first of Wi-Fi
	Address   string   `toml:"address"`   // "dhcp" (the default) or "192.168.1.20/24"
	Gateway   string   `toml:"gateway"`   // with an address: "192.168.1.1"
	DNS       []string `toml:"dns"`       // addresses; with DHCP in the place of what the server says
	NTP       []string `toml:"ntp"`       // names or addresses, which vouch for the time; default [Network.OtherNTP]
	Wifi      Wifi     `toml:"wifi"`      // in the place of Ethernet
}

// DHCP says that the address comes from a server.
const DHCP = "dhcp"

var (
	// interfaceName is what Linux takes: at most 15 bytes, here of the harmless ones.
	interfaceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$`)
	hostName      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
)

// maxServers bounds how many DNS or NTP servers may be named.
const maxServers = 8

// publicNTP are four servers of four operators on two continents, which anybody may
// ask: Cloudflare, the PTB in Germany, the NIST in the United States, Netnod in
// Sweden.
var publicNTP = []string{"time.cloudflare.com", "ptbtime1.ptb.de", "time.nist.gov", "ntp.se"}

// OtherNTP are the time servers that are asked besides those of DHCP where the
// configuration names none, two of which have to agree. With ntp = [] there are
// none.
func (n Network) OtherNTP() []string {
	if n.NTP != nil {
		return nil
	}
	return slices.Clone(publicNTP)
}

// Check tells what is wrong with the table, naming the key.
func (n Network) Check() error {
	if n.Interface != "" && !interfaceName.MatchString(n.Interface) {
		return fmt.Errorf("network.interface = %.40q: want a name such as \"eth0\"", n.Interface)
	}
	if err := n.Wifi.Check(); err != nil {
		return err
	}
	if _, err := n.Prefix(); err != nil {
		return err
	}
	if _, err := n.Router(); err != nil {
		return err
	}
	if _, err := n.Resolvers(); err != nil {
		return err
	}
	if len(n.NTP) > maxServers {
		return fmt.Errorf("network.ntp: %d servers; at most %d", len(n.NTP), maxServers)
	}
	for _, s := range n.NTP {
		if _, err := netip.ParseAddr(s); err != nil && (len(s) > 253 || !hostName.MatchString(s)) {
			return fmt.Errorf("network.ntp: %.80q is neither a host name nor an address", s)
		}
	}
	return nil
}

// Static tells whether the table has an address.
func (n Network) Static() bool { return n.Address != "" && n.Address != DHCP }

// Prefix is the address with the length of its network, zero for DHCP.
func (n Network) Prefix() (netip.Prefix, error) {
	if !n.Static() {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(n.Address)
	if err != nil || !p.Addr().Is4() || p.Addr().IsUnspecified() || p.Addr().IsMulticast() || p.Addr().IsLoopback() || p.Bits() == 0 {
		return netip.Prefix{}, fmt.Errorf("network.address = %.40q: want \"dhcp\", or an address with the length of its network such as \"192.168.1.20/24\"", n.Address)
	}
	return p, nil
}

// Router is the gateway, zero for none.
func (n Network) Router() (netip.Addr, error) {
	if n.Gateway == "" {
		return netip.Addr{}, nil
	}
	if !n.Static() {
		return netip.Addr{}, fmt.Errorf("network.gateway = %.40q: with DHCP the server tells it; give network.address too", n.Gateway)
	}
	p, err := n.Prefix()
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(n.Gateway)
	if err != nil || !p.Contains(a) || a == p.Addr() {
		return netip.Addr{}, fmt.Errorf("network.gateway = %.40q: want another address in the network of %s", n.Gateway, n.Address)
	}
	return a, nil
}

// Resolvers are the DNS servers.
func (n Network) Resolvers() ([]netip.Addr, error) {
	if len(n.DNS) > maxServers {
		return nil, fmt.Errorf("network.dns: %d servers; at most %d", len(n.DNS), maxServers)
	}
	var all []netip.Addr
	for _, s := range n.DNS {
		a, err := netip.ParseAddr(s)
		if err != nil || a.IsUnspecified() {
			return nil, fmt.Errorf("network.dns: %.80q is no address; names cannot be looked up before", s)
		}
		all = append(all, a)
	}
	return all, nil
}
