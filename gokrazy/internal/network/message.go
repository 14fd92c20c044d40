//go:build linux

package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// A message of DHCP (RFC 2131, 2) begins with a header of fixed size, the last
// four bytes of which say that options follow (RFC 2132, 2).
const (
	offOp, offHType, offHLen      = 0, 1, 2
	offXID, offSecs               = 4, 8
	offCIAddr, offYIAddr          = 12, 16
	offCHAddr, offCookie          = 28, 236
	messageHeader                 = 240
	leastMessage                  = 300 // RFC 951: what servers of BOOTP take
	bootRequest, bootReply   byte = 1, 2
	ethernet                 byte = 1
)

var cookie = [4]byte{99, 130, 83, 99}

// Types of messages (RFC 2132, 9.6).
const (
	discover byte = 1
	offer    byte = 2
	request  byte = 3
	ack      byte = 5
	nak      byte = 6
)

// Options (RFC 2132).
const (
	optPad         byte = 0
	optMask        byte = 1
	optRouter      byte = 3
	optDNS         byte = 6
	optHostName    byte = 12
	optNTP         byte = 42
	optRequestedIP byte = 50
	optLease       byte = 51
	optType        byte = 53
	optServer      byte = 54
	optWanted      byte = 55
	optReason      byte = 56
	optMaxSize     byte = 57
	optRenewal     byte = 58 // T1
	optRebinding   byte = 59 // T2
	optEnd         byte = 255
)

// message is what this client says and hears.
type message struct {
	op      byte
	xid     uint32
	secs    uint16
	client  netip.Addr // ciaddr
	yours   netip.Addr // yiaddr
	mac     hardwareAddr
	options map[byte][]byte
}

var errMessage = errors.New("not a message of DHCP")

// parseMessage reads one. It keeps no part of b.
func parseMessage(b []byte) (*message, error) {
	if len(b) < messageHeader || [4]byte(b[offCookie:]) != cookie {
		return nil, fmt.Errorf("%w: %d bytes", errMessage, len(b))
	}
	if b[offHType] != ethernet || b[offHLen] != 6 {
		return nil, fmt.Errorf("%w: not of Ethernet", errMessage)
	}
	m := &message{
		op: b[offOp], xid: binary.BigEndian.Uint32(b[offXID:]), secs: binary.BigEndian.Uint16(b[offSecs:]),
		client: netip.AddrFrom4([4]byte(b[offCIAddr:])), yours: netip.AddrFrom4([4]byte(b[offYIAddr:])),
		mac: hardwareAddr(b[offCHAddr:]), options: make(map[byte][]byte),
	}
	for b = b[messageHeader:]; len(b) > 0; {
		switch code := b[0]; {
		case code == optEnd:
			return m, nil
		case code == optPad:
			b = b[1:]
		case len(b) < 2 || len(b) < 2+int(b[1]):
			return nil, fmt.Errorf("%w: option %d is cut off", errMessage, code)
		default:
			// One that comes twice goes on (RFC 3396).
			m.options[code] = append(m.options[code], b[2:2+int(b[1])]...)
			b = b[2+int(b[1]):]
		}
	}
	return nil, fmt.Errorf("%w: it has no end", errMessage)
}

// bytes is the message on the wire. No option is longer than 255 bytes.
func (m *message) bytes() []byte {
	b := make([]byte, messageHeader, leastMessage)
	b[offOp], b[offHType], b[offHLen] = m.op, ethernet, byte(len(m.mac))
	binary.BigEndian.PutUint32(b[offXID:], m.xid)
	binary.BigEndian.PutUint16(b[offSecs:], m.secs)
	for at, a := range map[int]netip.Addr{offCIAddr: m.client, offYIAddr: m.yours} {
		if a.Is4() {
			copy(b[at:], a.AsSlice())
		}
	}
	copy(b[offCHAddr:], m.mac[:])
	copy(b[offCookie:], cookie[:])
	codes := make([]byte, 0, len(m.options))
	for code := range m.options {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		b = append(append(b, code, byte(len(m.options[code]))), m.options[code]...)
	}
	b = append(b, optEnd)
	for len(b) < leastMessage {
		b = append(b, optPad)
	}
	return b
}

// kind is the type of the message, 0 for none.
func (m *message) kind() byte {
	if o := m.options[optType]; len(o) == 1 {
		return o[0]
	}
	return 0
}

// address is an option that is one address.
func (m *message) address(code byte) netip.Addr {
	if o := m.options[code]; len(o) == 4 {
		return netip.AddrFrom4([4]byte(o))
	}
	return netip.Addr{}
}

// maxNamed bounds how many servers of a kind are taken from a DHCP server.
const maxNamed = 8

// addresses are those of an option that can be spoken to.
func (m *message) addresses(code byte) []netip.Addr {
	var all []netip.Addr
	for o := m.options[code]; len(o) >= 4 && len(all) < maxNamed; o = o[4:] {
		if a := netip.AddrFrom4([4]byte(o)); usable(a) {
			all = append(all, a)
		}
	}
	return all
}

// seconds is an option that is a time, or what is taken in its place. All bits
// say for ever, which is 136 years here.
func (m *message) seconds(code byte, otherwise time.Duration) time.Duration {
	if o := m.options[code]; len(o) == 4 {
		return time.Duration(binary.BigEndian.Uint32(o)) * time.Second
	}
	return otherwise
}

// usable tells whether a machine can have the address.
func usable(a netip.Addr) bool {
	return a.Is4() && a.As4()[0] != 0 && !a.IsLoopback() && !a.IsMulticast() && a.As4()[0] < 240
}

var errOffer = errors.New("the DHCP server offers what cannot be used")

// settings reads an offer or an acknowledgement.
func settings(m *message) (Settings, error) {
	var s Settings
	mask := m.options[optMask]
	ones, bits := net.IPMask(mask).Size()
	if !usable(m.yours) || bits != 32 || ones == 0 {
		return s, fmt.Errorf("%w: address %s, mask %x from %s", errOffer, m.yours, mask, m.address(optServer))
	}
	s.Address = netip.PrefixFrom(m.yours, ones)
	if ones < 31 && (m.yours == s.Address.Masked().Addr() || m.yours == last(s.Address)) {
		return s, fmt.Errorf("%w: address %s is that of the network, or of all in it", errOffer, s.Address)
	}
	if routers := m.addresses(optRouter); len(routers) > 0 && routers[0] != m.yours {
		s.Gateway = routers[0]
	}
	s.DNS, s.NTP = m.addresses(optDNS), m.addresses(optNTP)
	return s, nil
}

// last is the last address of a network.
func last(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	n := binary.BigEndian.Uint32(a[:]) | ^uint32(0)>>p.Bits()
	binary.BigEndian.PutUint32(a[:], n)
	return netip.AddrFrom4(a)
}
