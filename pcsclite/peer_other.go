//go:build !linux

package pcsclite

import "net"

// peer names the program at the other end of a socket where the system tells.
func peer(net.Conn) string { return "a program" }
