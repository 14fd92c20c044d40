//go:build linux

package network

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var (
	ownMAC   = hardwareAddr{2, 0, 0, 0, 0, 1}
	otherMAC = hardwareAddr{2, 0, 0, 0, 0, 2}
)

// toClient is what a server would send: broadcastFrame with the ports changed.
func toClient(to hardwareAddr, payload []byte, change func(frame, ip, udp []byte)) []byte {
	f := broadcastFrame(otherMAC, payload)
	copy(f, to[:])
	ip, udp := f[etherHeader:], f[etherHeader+ipHeader:]
	binary.BigEndian.PutUint16(udp, serverPort)
	binary.BigEndian.PutUint16(udp[2:], clientPort)
	if change != nil {
		change(f, ip, udp)
	}
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], checksum(0, ip[:ipHeader]))
	return f
}

// shortFrame says that it is shorter than a UDP header, and has something
// behind its end that looks like one.
func shortFrame(total uint16) []byte {
	return toClient(broadcast, make([]byte, 64), func(_, ip, _ []byte) { binary.BigEndian.PutUint16(ip[2:], total) })
}

func TestDatagram(t *testing.T) {
	text := []byte("text")
	for name, tt := range map[string]struct {
		frame    []byte
		unsummed bool
		want     []byte
	}{
		"to all":         {frame: toClient(broadcast, text, nil), want: text},
		"to this one":    {frame: toClient(ownMAC, text, nil), want: text},
		"to another":     {frame: toClient(otherMAC, text, nil)},
		"empty":          {frame: toClient(ownMAC, nil, nil), want: []byte{}},
		"padded":         {frame: append(toClient(ownMAC, text, nil), 0, 0, 0), want: text},
		"cut":            {frame: toClient(ownMAC, text, nil)[:etherHeader+ipHeader+udpHeader+3]},
		"to servers":     {frame: broadcastFrame(otherMAC, text)},
		"no checksum":    {frame: toClient(ownMAC, text, func(_, _, udp []byte) { udp[6], udp[7] = 0, 0 }), want: text},
		"wrong checksum": {frame: toClient(ownMAC, text, func(_, _, udp []byte) { udp[6]++ })},
		"checksum to come": {
			frame: toClient(ownMAC, text, func(_, _, udp []byte) { udp[6]++ }), unsummed: true, want: text,
		},
		"ARP":             {frame: toClient(ownMAC, text, func(f, _, _ []byte) { f[13] = 6 })},
		"version 6":       {frame: toClient(ownMAC, text, func(_, ip, _ []byte) { ip[0] = 6<<4 | 5 })},
		"short header":    {frame: toClient(ownMAC, text, func(_, ip, _ []byte) { ip[0] = 4<<4 | 4 })},
		"long header":     {frame: toClient(ownMAC, text, func(_, ip, _ []byte) { ip[0] = 4<<4 | 15 })},
		"long total":      {frame: toClient(ownMAC, text, func(_, ip, _ []byte) { ip[3] = 33 })},
		"more fragments":  {frame: toClient(ownMAC, text, func(_, ip, _ []byte) { ip[6] = 0x20 })},
		"later fragment":  {frame: toClient(ownMAC, text, func(_, ip, _ []byte) { ip[7] = 1 })},
		"not to be split": {frame: toClient(ownMAC, text, func(_, ip, _ []byte) { ip[6] = 0x40 }), want: text},
		"TCP":             {frame: toClient(ownMAC, text, func(_, ip, _ []byte) { ip[9] = 6 })},
		"short UDP":       {frame: toClient(ownMAC, text, func(_, _, udp []byte) { udp[5], udp[6], udp[7] = 7, 0, 0 })},
		"long UDP":        {frame: toClient(ownMAC, text, func(_, _, udp []byte) { udp[5], udp[6], udp[7] = 13, 0, 0 })},
		"total 20":        {frame: shortFrame(20)}, "total 27": {frame: shortFrame(27)}, "total 0": {frame: shortFrame(0)}, "nothing": {},
	} {
		got, ok := datagram(tt.frame, ownMAC, tt.unsummed)
		if ok != (tt.want != nil) || !bytes.Equal(got, tt.want) {
			t.Errorf("%s: got %q, %v, want %q", name, got, ok, tt.want)
		}
	}
	broken := toClient(ownMAC, text, nil)
	broken[etherHeader+10]++
	if _, ok := datagram(broken, ownMAC, false); ok {
		t.Error("a header with a wrong checksum is taken")
	}
}

// acknowledgement is a good one, as another program writes it.
func acknowledgement(t testing.TB) []byte {
	m, err := dhcpv4.New(
		dhcpv4.WithMessageType(dhcpv4.MessageTypeAck), dhcpv4.WithYourIP([]byte{10, 9, 0, 50}), dhcpv4.WithHwAddr(ownMAC[:]),
		dhcpv4.WithNetmask([]byte{255, 255, 255, 0}), dhcpv4.WithRouter([]byte{10, 9, 0, 1}), dhcpv4.WithDNS([]byte{10, 9, 0, 2}, []byte{127, 0, 0, 1}),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier([]byte{10, 9, 0, 1})), dhcpv4.WithLeaseTime(120), dhcpv4.WithTransactionID(dhcpv4.TransactionID{1, 2, 3, 4}),
	)
	if err != nil {
		t.Fatal(err)
	}
	m.OpCode = dhcpv4.OpcodeBootReply
	return m.ToBytes()
}

func TestMessage(t *testing.T) {
	m, err := parseMessage(acknowledgement(t))
	if err != nil {
		t.Fatal(err)
	}
	if m.op != bootReply || m.kind() != ack || m.xid != 0x01020304 || m.mac != ownMAC || m.seconds(optLease, 0) != 2*time.Minute || m.seconds(optRenewal, 7) != 7 {
		t.Errorf("got %+v", m)
	}
	got, err := settings(m)
	want := Settings{
		Address: netip.MustParsePrefix("10.9.0.50/24"), Gateway: netip.MustParseAddr("10.9.0.1"),
		DNS: []netip.Addr{netip.MustParseAddr("10.9.0.2")}, // not the box itself
	}
	if err != nil || !got.equal(want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	// There and back.
	if again, err := parseMessage(m.bytes()); err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("got %+v, %v, want %+v", again, err, m)
	}
	for _, tt := range []struct{ address, mask string }{
		{"0.0.0.0", "255.255.255.0"}, {"127.0.0.1", "255.0.0.0"}, {"224.0.0.1", "255.0.0.0"}, {"255.255.255.255", "255.0.0.0"},
		{"10.9.0.0", "255.255.255.0"}, {"10.9.0.255", "255.255.255.0"}, {"10.9.0.1", "0.0.0.0"}, {"10.9.0.1", "255.0.255.0"},
	} {
		m.yours, m.options[optMask] = netip.MustParseAddr(tt.address), netip.MustParseAddr(tt.mask).AsSlice()
		if got, err := settings(m); err == nil {
			t.Errorf("%s with mask %s: got %+v", tt.address, tt.mask, got)
		}
	}
	m.options[optMask] = []byte{255, 255}
	if got, err := settings(m); err == nil {
		t.Errorf("half a mask: got %+v", got)
	}
}

// FuzzFrame gives any frame to all that runs on it. What is taken for a message
// is one for another program too.
func FuzzFrame(f *testing.F) {
	good := acknowledgement(f)
	f.Add(toClient(broadcast, good, nil))
	f.Add(toClient(ownMAC, good[:len(good)-1], nil))
	for total := range uint16(29) {
		f.Add(shortFrame(total))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		payload, ok := datagram(frame, ownMAC, true)
		if !ok {
			return
		}
		if len(payload) > len(frame)-etherHeader-ipHeader-udpHeader {
			t.Errorf("%d bytes in a frame of %d", len(payload), len(frame))
		}
		checkMessage(t, payload)
	})
}

// FuzzMessage is FuzzFrame without the need to find checksums.
func FuzzMessage(f *testing.F) {
	good := acknowledgement(f)
	f.Add(good)
	f.Add(append(good[:len(good):len(good)], good...))
	f.Add(good[:messageHeader])
	f.Fuzz(checkMessage)
}

func checkMessage(t *testing.T, b []byte) {
	m, err := parseMessage(b)
	if err != nil {
		return
	}
	other, err := dhcpv4.FromBytes(b)
	if err != nil {
		t.Fatalf("%X is taken, and another program says %v", b, err)
	}
	if byte(other.MessageType()) != m.kind() && len(m.options[optType]) == 1 || !bytes.Equal(other.YourIPAddr, m.yours.AsSlice()) || len(other.Options) != len(m.options) {
		t.Errorf("got %+v, another program reads %v", m, other)
	}
	for code, value := range m.options {
		if !bytes.Equal(other.Options.Get(dhcpv4.GenericOptionCode(code)), value) {
			t.Errorf("option %d: got %X", code, value)
		}
	}
	if s, err := settings(m); err == nil && (!s.Address.IsValid() || len(s.DNS) > maxNamed || len(s.NTP) > maxNamed) {
		t.Errorf("got %+v", s)
	}
}
