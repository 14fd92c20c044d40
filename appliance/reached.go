package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/cloud-of-se/tses/access"
)

// checkListen refuses an address that cannot be listened on.
func checkListen(listen string) error {
	const want = `want ADDRESS:PORT, such as "127.0.0.1:7777", or "0.0.0.0:7777" for all of this machine's`
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("listen = %.80q: %s", listen, want)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("listen = %.80q: the port is %.20q, and has to be a number up to 65535", listen, port)
	}
	if host != "" && access.CheckServerName(host) != nil {
		return fmt.Errorf("listen = %.80q: %.60q is no address; %s", listen, host, want)
	}
	return nil
}

// checkReached tells what keeps everybody from reaching this TSES.
func (c config) checkReached() error {
	if err := checkListen(c.Listen); err != nil {
		return err
	}
	for _, name := range c.Names {
		if err := access.CheckServerName(name); err != nil {
			return fmt.Errorf("names: %w", err)
		}
	}
	return nil
}
