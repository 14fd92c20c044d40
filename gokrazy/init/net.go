//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/cloud-of-se/tses/gokrazy/internal/mdns"
	"github.com/cloud-of-se/tses/gokrazy/internal/network"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// runNetwork connects the box, tells the clock of NTP servers, and makes the
// box's name known, until the context is done.
func (b *box) runNetwork(ctx context.Context) {
	name, err := os.Hostname()
	if err != nil {
		b.log.Warn("the box has no name for mDNS", "err", err)
	}
	if err := withoutFastOpen(fastOpen); err != nil {
		b.log.Warn("network", "err", err)
	}
	silence := func() {}
	defer func() { silence() }()
	network.Run(ctx, b.networkConfig(), b.log, func(s network.Settings) {
		silence() // the old address
		silence = func() {}
		b.tellConnected(s)
		if !s.Connected() {
			return
		}
		if len(s.NTP) == 0 && len(b.config.Network.NTP) == 0 && len(b.config.Network.OtherNTP()) == 0 {
			b.log.Warn("no time server is known: DHCP names none, and neither does network.ntp in the configuration")
		}
		b.clock.Offer(texts(s.NTP))
		if name == "" {
			return
		}
		silence = background(ctx, func(ctx context.Context) {
			mdns.Run(ctx, mdns.Config{
				Interface: s.Interface, Address: s.Address, Name: name, Service: "_racs._tcp", Port: uint16(b.config.port()), Log: b.log,
			})
		})
	})
}

// fastOpen is the kernel's switch for data in the first packets of TCP (RFC
// 7413). Sending connects then, past the rules for ports that the TSES is held
// to; its own filter of system calls forbids that too.
const fastOpen = "/proc/sys/net/ipv4/tcp_fastopen"

func withoutFastOpen(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("0\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("TCP Fast Open stays on: %w", err)
	}
	return nil
}

// background runs f until the function that it returns is called, which waits
// for the end.
func background(ctx context.Context, f func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// tellConnected tells the TSES.
func (b *box) tellConnected(s network.Settings) {
	var c *sdcard.Connected
	if s.Connected() {
		c = &sdcard.Connected{Interface: s.Interface, Address: s.Address, Gateway: s.Gateway}
	}
	if err := sdcard.WriteConnected(sdcard.NetworkFile, c); err != nil {
		b.log.Error("the TSES does not hear of the network", "err", err)
	}
}

// networkConfig was checked when it was read.
func (b *box) networkConfig() network.Config {
	n := b.config.Network
	c := network.Config{Interface: n.Interface}
	var errs [4]error
	c.Address, errs[0] = n.Prefix()
	c.Gateway, errs[1] = n.Router()
	c.DNS, errs[2] = n.Resolvers()
	c.Join, errs[3] = b.joinWifi()
	for _, err := range errs {
		if err != nil {
			b.log.Error("configuration", "err", err)
			return network.Config{}
		}
	}
	return c
}

func texts(addrs []netip.Addr) []string {
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return all
}
