//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"
)

const (
	outside = "10.0.2.15/24" // of eth0: where QEMU sends to what comes from the test
	inside  = "10.77.0.1/24" // of wlan1
	box     = "10.77.0.2"    // that the box gets
	port    = "7777"
)

// beAccessPoint is the second process. It does not return.
func beAccessPoint() error {
	for name, address := range map[string]string{"lo": "127.0.0.1/8", "eth0": outside, "wlan1": inside} {
		link, err := await(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		addr, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		if err := netlink.AddrReplace(link, addr); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if name != "wlan1" { // hostapd's own
			if err := netlink.LinkSetUp(link); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	go func() { fmt.Fprintln(os.Stderr, "air: DHCP:", giveAddress()) }()
	go func() { fmt.Fprintln(os.Stderr, "air: proxy:", passOn()) }()
	return keepAir()
}

// keepAir runs the access point. Where the kernel's command line has
// air.flap=SECONDS it ends after that time and is back ten seconds later.
func keepAir() error {
	var flap time.Duration
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(string(text)) {
		if seconds, ok := strings.CutPrefix(word, "air.flap="); ok {
			if flap, err = time.ParseDuration(seconds + "s"); err != nil {
				return err
			}
		}
	}
	if flap > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), flap)
		defer cancel()
		err := runHostapd(ctx)
		if ctx.Err() == nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "air: the access point is gone")
		time.Sleep(10 * time.Second)
	}
	return runHostapd(context.Background())
}

func runHostapd(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, hostapd, hostapdCfg)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return fmt.Errorf("hostapd has ended: %w", cmd.Run())
}

// giveAddress is a DHCP server with one address.
func giveAddress() error {
	server, err := server4.NewServer("wlan1", &net.UDPAddr{IP: net.IPv4zero, Port: dhcpv4.ServerPort}, func(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
		kind := dhcpv4.MessageTypeOffer
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
		}
		answer, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.ParseIP(box)),
			dhcpv4.WithServerIP(net.ParseIP("10.77.0.1")), dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(3600),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP("10.77.0.1"))))
		if err == nil {
			_, err = conn.WriteTo(answer.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "air: DHCP:", err)
		}
	})
	if err != nil {
		return err
	}
	return server.Serve()
}

// passOn gives the box what comes from the test.
func passOn() error {
	ln, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	for {
		from, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() { // ends with the connection
			defer from.Close()
			to, err := net.DialTimeout("tcp", box+":"+port, 5*time.Second)
			if err != nil {
				return // the test sees it
			}
			defer to.Close()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = io.Copy(to, from) // however it ends
				_ = to.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(from, to)
			_ = from.Close()
			<-ended
		}()
	}
}
