//go:build linux

package network

import "encoding/binary"

// The ports of DHCP (RFC 2131, 4.1).
const (
	serverPort = 67
	clientPort = 68
)

const (
	etherHeader = 14
	ipHeader    = 20 // without options
	udpHeader   = 8

	etherIPv4 = 0x0800
	protoUDP  = 17

	maxFrame = 1514 // of Ethernet without a tag
)

type hardwareAddr = [6]byte

var broadcast = hardwareAddr{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}

// datagram returns what a frame of Ethernet brings to the port of DHCP clients,
// and false for all that is anything else or not sound. Everybody on the cable
// can send anything, and this runs in the first process: each length is checked
// against what is there before it is used. unsummed says that the sender is on
// this machine, or its host, and that its network card was to make the UDP
// checksum.
func datagram(frame []byte, own hardwareAddr, unsummed bool) ([]byte, bool) {
	if len(frame) < etherHeader+ipHeader+udpHeader || binary.BigEndian.Uint16(frame[12:]) != etherIPv4 {
		return nil, false
	}
	if to := hardwareAddr(frame[:6]); to != own && to != broadcast {
		return nil, false
	}
	ip := frame[etherHeader:]
	header, total := int(ip[0]&0xF)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0]>>4 != 4 || header < ipHeader || total < header+udpHeader || total > len(ip) {
		return nil, false // RFC 791, 3.1; what is behind the total length is padding
	}
	// Neither more fragments nor an offset. One checksum over the header with
	// itself gives zero.
	if binary.BigEndian.Uint16(ip[6:])&0x3FFF != 0 || ip[9] != protoUDP || checksum(0, ip[:header]) != 0 {
		return nil, false
	}
	udp := ip[header:total]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if binary.BigEndian.Uint16(udp[2:]) != clientPort || length < udpHeader || length > len(udp) {
		return nil, false // RFC 768
	}
	udp = udp[:length]
	if binary.BigEndian.Uint16(udp[6:]) != 0 && !unsummed && checksum(pseudoHeader(ip, length), udp) != 0 {
		return nil, false
	}
	return udp[udpHeader:], true
}

// broadcastFrame carries a message of a client that has no address to all
// servers.
func broadcastFrame(own hardwareAddr, payload []byte) []byte {
	frame := make([]byte, etherHeader+ipHeader+udpHeader, etherHeader+ipHeader+udpHeader+len(payload))
	copy(frame, broadcast[:])
	copy(frame[6:], own[:])
	binary.BigEndian.PutUint16(frame[12:], etherIPv4)
	ip := frame[etherHeader:]
	ip[0], ip[8], ip[9] = 4<<4|ipHeader/4, 64, protoUDP
	binary.BigEndian.PutUint16(ip[2:], uint16(ipHeader+udpHeader+len(payload)))
	copy(ip[16:], broadcast[:4])
	binary.BigEndian.PutUint16(ip[10:], checksum(0, ip[:ipHeader]))
	udp := ip[ipHeader:]
	length := udpHeader + len(payload)
	binary.BigEndian.PutUint16(udp, clientPort)
	binary.BigEndian.PutUint16(udp[2:], serverPort)
	binary.BigEndian.PutUint16(udp[4:], uint16(length))
	frame = append(frame, payload...)
	ip, udp = frame[etherHeader:], frame[etherHeader+ipHeader:]
	sum := checksum(pseudoHeader(ip, length), udp)
	if sum == 0 {
		sum = 0xFFFF // zero says that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
	return frame
}

// pseudoHeader is the sum of what a UDP checksum covers besides the datagram.
func pseudoHeader(ip []byte, length int) uint32 {
	return sum16(ip[12:20]) + protoUDP + uint32(length)
}

// checksum is that of RFC 1071. At most maxFrame bytes are summed, which 32
// bits hold.
func checksum(sum uint32, b []byte) uint16 {
	sum += sum16(b)
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	return ^uint16(sum)
}

func sum16(b []byte) (sum uint32) {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}
