//go:build linux

// Package mdns makes a box known in its network: as NAME.local, and with one
// service there (RFC 6762, RFC 6763).
//
// It keeps its name whatever others say: the name is in the box's certificate,
// and a box that could be made to take another by one forged packet would not
// be found any more. A conflict is logged and the name defended.
//
// It speaks IPv4 alone, as the TSES does by default. Who asks for an address of
// IPv6 is told at once that there is none.
package mdns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Config is what is made known. All fields are needed.
type Config struct {
	Interface string       // "eth0"
	Address   netip.Prefix // of the interface: who is not in this network is not answered
	Name      string       // "tses-0123", of the host and of the service
	Service   string       // "_racs._tcp"
	Port      uint16
	Log       *slog.Logger
}

// group is where mDNS is spoken.
var group = netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 0, 251}), 5353)

// The pauses between two tries to open the socket.
const (
	firstPause = time.Second
	mostPause  = time.Minute
)

// Run answers until the context is done, and then takes back what it has said.
func Run(ctx context.Context, c Config) {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		err := c.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		c.Log.Warn("mDNS: the box is not known by its name", "name", c.Name, "err", err, "next try in", pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// maxPacket is that of RFC 6762, 17.
const maxPacket = 9000

func (c Config) serve(ctx context.Context) (err error) {
	r, err := newResponder(c, time.Now())
	if err != nil {
		return err
	}
	conn, err := c.listen(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// Whatever is waited for ends with the context.
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
			conn.Close()
		}
	})
	defer func() {
		if !stop() {
			<-woken
		}
	}()
	var buf [maxPacket]byte
	for {
		for packet := r.due(time.Now()); packet != nil; packet = r.due(time.Now()) {
			// A network that is down just now is no reason to begin anew.
			if err := send(conn, packet, group); err != nil {
				r.warn(time.Now(), "mDNS: not sent", "err", err)
			}
		}
		if err := conn.SetReadDeadline(r.next()); err != nil {
			return fmt.Errorf("mDNS: %w", err)
		}
		if ctx.Err() != nil { // and not before: the deadline may have been the end's
			if packet := r.goodbye(); packet != nil {
				return send(conn, packet, group)
			}
			return nil
		}
		n, from, err := conn.ReadFromUDPAddrPort(buf[:])
		switch {
		case err == nil:
		case errors.Is(err, unix.ENETDOWN), isTimeout(err):
			continue
		default:
			return fmt.Errorf("mDNS: %w", err)
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if reply := r.handle(buf[:n], from, time.Now()); reply != nil {
			if err := send(conn, reply, from); err != nil {
				r.warn(time.Now(), "mDNS: not sent", "err", err)
			}
		}
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func send(conn *net.UDPConn, packet []byte, to netip.AddrPort) error {
	_, err := conn.WriteToUDPAddrPort(packet, to)
	return err
}

// listen opens the socket: of one interface, in the group, with the TTL that
// RFC 6762, 11, asks for, and without what it says itself.
func (c Config) listen(ctx context.Context) (*net.UDPConn, error) {
	iface, err := net.InterfaceByName(c.Interface)
	if err != nil {
		return nil, fmt.Errorf("mDNS: interface %s: %w", c.Interface, err)
	}
	member := &unix.IPMreqn{Multiaddr: group.Addr().As4(), Address: c.Address.Addr().As4(), Ifindex: int32(iface.Index)}
	options := func(fd int) error {
		return errors.Join(
			unix.BindToDevice(fd, c.Interface),
			unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, member),
			unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, member),
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 255),
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, 255),
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0),
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0))
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var said error
		err := raw.Control(func(fd uintptr) { said = options(int(fd)) })
		return errors.Join(err, said)
	}}
	conn, err := config.ListenPacket(ctx, "udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), group.Port()).String())
	if err != nil {
		return nil, fmt.Errorf("mDNS: socket on %s: %w", c.Interface, err)
	}
	return conn.(*net.UDPConn), nil
}
