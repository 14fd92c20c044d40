package access

import (
	"fmt"
	"net/netip"
	"regexp"
)

// serverName is what a dNSName of a certificate can be, and clients compare (RFC
// 9525, 6.3): labels of letters, digits, '-' and, as hosts' names have it in
// spite of the standard, '_'; the first may be "*".
var serverName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$`)

// maxServerName is the longest name of the DNS, in characters (RFC 1035, 2.3.4).
const maxServerName = 253

// CheckServerName refuses what cannot stand in a server's certificate: it is to be
// an IP address or a DNS name.
func CheckServerName(name string) error {
	if _, err := netip.ParseAddr(name); err == nil {
		return nil
	}
	if len(name) > maxServerName || !serverName.MatchString(name) {
		return fmt.Errorf("%.80q is neither a DNS name nor an IP address; write it as tses.example or 192.0.2.1, without port and https://", name)
	}
	return nil
}
