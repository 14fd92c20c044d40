package stp

import (
	"net"
	"testing"
)

// What is one origin: an IPv4 address however it is written, and a network of 64
// bits of IPv6.
func TestOriginOf(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		same       bool
	}{
		{"two ports", "192.0.2.1", "192.0.2.1", true},
		{"two neighbours of IPv4", "192.0.2.1", "192.0.2.2", false},
		{"IPv4 in IPv6", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"two IPv4 in IPv6", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"one /64", "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		{"two /64", "2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"IPv4 and none", "192.0.2.1", "", false},
		{"two that are none", "", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := originOf(&net.TCPAddr{IP: net.ParseIP(tt.a), Port: 1})
			b := originOf(&net.TCPAddr{IP: net.ParseIP(tt.b), Port: 2})
			if (a == b) != tt.same {
				t.Errorf("%v and %v", a, b)
			}
		})
	}
	// The interface is not the client's to choose.
	link := net.ParseIP("fe80::1")
	if a, b := originOf(&net.TCPAddr{IP: link, Zone: "eth0"}), originOf(&net.TCPAddr{IP: link, Zone: "wlan0"}); a != b {
		t.Errorf("%v and %v", a, b)
	}
	if a := originOf(&net.UnixAddr{Name: "/run/x"}); a.IsValid() {
		t.Errorf("a socket of Unix is %v", a)
	}
	four := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4()} // as of a listener of IPv4 alone
	if got := originOf(four).String(); got != "192.0.2.1/32" {
		t.Errorf("got %s", got)
	}
}
