//go:build linux

package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wire carries messages to and from DHCP servers.
type wire interface {
	send(message []byte) error
	// receive waits until the context is done. What it returns is good until
	// the next call.
	receive(ctx context.Context) ([]byte, error)
	Close() error
}

// raw is the wire of a client that has no address yet: a packet socket at one
// interface (packet(7)).
type raw struct {
	file *os.File
	conn syscall.RawConn
	own  hardwareAddr
	buf  [maxFrame]byte
	oob  [128]byte
}

func openRaw(index int, own hardwareAddr) (wire, error) {
	// With protocol 0 nothing comes before the filter is there.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, forClients)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: index})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("packet socket: %w", err), unix.Close(fd))
	}
	r := &raw{file: os.NewFile(uintptr(fd), "packet socket"), own: own}
	if r.conn, err = r.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("packet socket: %w", err), r.file.Close())
	}
	return r, nil
}

// forClients lets the kernel keep from the first process what is not for a DHCP
// client, such as all that the TSES is told and says. It is no check: datagram
// is that.
var forClients = func() *unix.SockFprog {
	const dropIt, keepIt = 0, maxFrame
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: etherHeader + 9},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: protoUDP, Jf: 3},
		{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: etherHeader},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: etherHeader + 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: clientPort, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: dropIt},
		{Code: unix.BPF_RET | unix.BPF_K, K: keepIt},
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}()

func bigEndian(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

func (r *raw) send(message []byte) error {
	if _, err := r.file.Write(broadcastFrame(r.own, message)); err != nil {
		return fmt.Errorf("broadcast to DHCP servers: %w", err)
	}
	return nil
}

func (r *raw) receive(ctx context.Context) ([]byte, error) {
	for {
		frame, unsummed, err := r.frame(ctx)
		if err != nil {
			return nil, err
		}
		if payload, ok := datagram(frame, r.own, unsummed); ok {
			return payload, nil
		}
	}
}

// frame waits for the next one, which may be of no interest.
func (r *raw) frame(ctx context.Context) (frame []byte, unsummed bool, err error) {
	err = interruptible(ctx, r.file, func() error {
		var said error
		err := r.conn.Read(func(fd uintptr) bool {
			var n, oobn int
			var from unix.Sockaddr
			n, oobn, _, from, said = unix.Recvmsg(int(fd), r.buf[:], r.oob[:], 0)
			if said == unix.EAGAIN || said == unix.EINTR {
				return false
			}
			// What goes out comes by here too, and what is another VLAN's.
			if l, ok := from.(*unix.SockaddrLinklayer); said == nil && ok && (l.Pkttype == unix.PACKET_HOST || l.Pkttype == unix.PACKET_BROADCAST) {
				frame, unsummed = r.buf[:n], sumToCome(r.oob[:oobn])
			}
			return true
		})
		return errors.Join(err, said)
	})
	if err != nil {
		return nil, false, fmt.Errorf("answers of DHCP servers: %w", err)
	}
	return frame, unsummed, nil
}

// sumToCome reads struct tpacket_auxdata: its status may say that a checksum was
// left to the network card, and not made because the packet met none.
func sumToCome(oob []byte) bool {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_CSUMNOTREADY != 0
		}
	}
	return false
}

func (r *raw) Close() error { return r.file.Close() }

// routed is the wire of a client that has an address: the kernel finds the way
// to the server, or tells all of them where the server is the broadcast address.
type routed struct {
	conn   *net.UDPConn
	server netip.AddrPort
	buf    [maxFrame]byte
}

// openRouted listens at all addresses: a server may send a refusal to all of
// them (RFC 2131, 4.1).
func openRouted(ctx context.Context, iface string, server netip.Addr) (wire, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var said error
		err := c.Control(func(fd uintptr) { said = unix.BindToDevice(int(fd), iface) })
		return errors.Join(err, said)
	}}
	conn, err := config.ListenPacket(ctx, "udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), clientPort).String())
	if err != nil {
		return nil, fmt.Errorf("port of DHCP clients: %w", err)
	}
	return &routed{conn: conn.(*net.UDPConn), server: netip.AddrPortFrom(server, serverPort)}, nil
}

func (r *routed) send(message []byte) error {
	if _, err := r.conn.WriteToUDPAddrPort(message, r.server); err != nil {
		return fmt.Errorf("DHCP server %s: %w", r.server.Addr(), err)
	}
	return nil
}

func (r *routed) receive(ctx context.Context) ([]byte, error) {
	n := 0
	err := interruptible(ctx, r.conn, func() (err error) {
		n, _, err = r.conn.ReadFromUDPAddrPort(r.buf[:])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("answers of DHCP servers: %w", err)
	}
	return r.buf[:n], nil
}

func (r *routed) Close() error { return r.conn.Close() }

// interruptible ends what f waits for when the context is done. It leaves no
// deadline behind.
func interruptible(ctx context.Context, c interface{ SetReadDeadline(time.Time) error }, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var failed error
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		failed = c.SetReadDeadline(time.Unix(1, 0))
	})
	err := f()
	if stop() {
		return err
	}
	<-done
	if failed = errors.Join(failed, c.SetReadDeadline(time.Time{})); failed != nil {
		return failed
	}
	if err != nil {
		return ctx.Err()
	}
	return nil
}
