//go:build !linux

package pcsclite

import (
	"io"
	"net"
)

func promptly(conn net.Conn) io.Reader { return conn }
