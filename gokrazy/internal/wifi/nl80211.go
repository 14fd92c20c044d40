//go:build linux

package wifi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// callTime bounds one call of the kernel. A driver waits for its firmware.
const callTime = 10 * time.Second

// maxHeard bounds how many access points of a scan are looked at.
const maxHeard = 1024

// radio is a station interface, as nl80211 sees it.
type radio struct {
	conn   *genetlink.Conn
	family genetlink.Family
	index  uint32
	name   string
}

// openRadio opens the way to nl80211. What it is for is found by find.
func openRadio() (*radio, error) {
	conn, err := genetlink.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("nl80211: %w", err)
	}
	r := &radio{conn: conn}
	// What it adds to errors is for reading; without it they are as good.
	_ = r.conn.SetOption(netlink.ExtendedAcknowledge, true)
	if r.family, err = r.conn.GetFamily(unix.NL80211_GENL_NAME); err != nil {
		r.close()
		return nil, fmt.Errorf("%w: the kernel has no nl80211, or no driver that brings it: %w", ErrNoInterface, err)
	}
	return r, nil
}

// find finds an interface by its name, or without one the first that is a
// station.
func (r *radio) find(name string) error {
	messages, err := r.dump(unix.NL80211_CMD_GET_INTERFACE, nil)
	if err != nil {
		return fmt.Errorf("nl80211: list interfaces: %w", err)
	}
	other := ""
	for _, m := range messages {
		i, err := parseInterface(m.Data)
		if err != nil {
			return fmt.Errorf("nl80211: list interfaces: %w", err)
		}
		switch {
		case i.index == 0, i.name == "": // a device without a network interface, as P2P has
		case name != "" && i.name != name:
			other = i.name
		case name != "" && i.kind != unix.NL80211_IFTYPE_STATION:
			return fmt.Errorf("%w: %s is not a station", ErrNoInterface, name)
		case i.kind == unix.NL80211_IFTYPE_STATION && (r.index == 0 || i.index < r.index):
			r.index, r.name = i.index, i.name
		}
	}
	switch {
	case r.index != 0:
		return nil
	case name != "" && other != "":
		return fmt.Errorf("%w %s; there is %s", ErrNoInterface, name, other)
	case name != "":
		return fmt.Errorf("%w %s; are the chip's firmware and driver there?", ErrNoInterface, name)
	}
	return fmt.Errorf("%w; are the chip's firmware and driver there?", ErrNoInterface)
}

func (r *radio) close() { _ = r.conn.Close() } // nothing waits to be written

// wiface is what the list of interfaces says of one.
type wiface struct {
	index, kind uint32
	name        string
}

func parseInterface(b []byte) (wiface, error) {
	var i wiface
	d, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return i, err
	}
	for d.Next() {
		switch d.Type() {
		case unix.NL80211_ATTR_IFINDEX:
			i.index = d.Uint32()
		case unix.NL80211_ATTR_IFNAME:
			i.name = d.String()
		case unix.NL80211_ATTR_IFTYPE:
			i.kind = d.Uint32()
		}
	}
	return i, d.Err()
}

// set gives the kernel a command and waits until it has said whether it is well.
func (r *radio) set(command uint8, encode func(*netlink.AttributeEncoder)) error {
	_, err := r.call(command, netlink.Request|netlink.Acknowledge, encode)
	return err
}

func (r *radio) dump(command uint8, encode func(*netlink.AttributeEncoder)) ([]genetlink.Message, error) {
	return r.call(command, netlink.Request|netlink.Dump, encode)
}

func (r *radio) call(command uint8, flags netlink.HeaderFlags, encode func(*netlink.AttributeEncoder)) ([]genetlink.Message, error) {
	e := netlink.NewAttributeEncoder()
	if encode != nil {
		encode(e)
	}
	data, err := e.Encode()
	if err != nil {
		return nil, err
	}
	if err := r.conn.SetDeadline(time.Now().Add(callTime)); err != nil {
		return nil, err
	}
	message := genetlink.Message{Header: genetlink.Header{Command: command, Version: r.family.Version}, Data: data}
	return r.conn.Execute(message, r.family.ID, flags)
}

// of adds the interface to a command.
func (r *radio) of(encode func(*netlink.AttributeEncoder)) func(*netlink.AttributeEncoder) {
	return func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NL80211_ATTR_IFINDEX, r.index)
		if encode != nil {
			encode(e)
		}
	}
}

// reloadRules has cfg80211 read its database of countries' rules: where it is
// built in, it has looked for it before there was a root file system.
func (r *radio) reloadRules() error { return r.set(unix.NL80211_CMD_RELOAD_REGDB, nil) }

func (r *radio) setCountry(country string) error {
	return r.set(unix.NL80211_CMD_REQ_SET_REG, func(e *netlink.AttributeEncoder) {
		e.String(unix.NL80211_ATTR_REG_ALPHA2, country)
		e.Uint32(unix.NL80211_ATTR_USER_REG_HINT_TYPE, unix.NL80211_USER_REG_HINT_USER)
	})
}

// country is whose rules the radios obey now; "00" are those that hold
// everywhere.
func (r *radio) country() (string, error) {
	messages, err := r.call(unix.NL80211_CMD_GET_REG, netlink.Request, nil)
	if err != nil {
		return "", err
	}
	for _, m := range messages {
		d, err := netlink.NewAttributeDecoder(m.Data)
		if err != nil {
			return "", err
		}
		for d.Next() {
			if d.Type() == unix.NL80211_ATTR_REG_ALPHA2 {
				return d.String(), nil
			}
		}
		if err := d.Err(); err != nil {
			return "", err
		}
	}
	return "", errors.New("the kernel does not tell")
}

// stayAwake switches power save off: what comes for a server would wait for the
// next beacon.
func (r *radio) stayAwake() error {
	return r.set(unix.NL80211_CMD_SET_POWER_SAVE, r.of(func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NL80211_ATTR_PS_STATE, unix.NL80211_PS_DISABLED)
	}))
}

// triggerScan asks for a network by its name, too: it may hide it. What was
// heard before is forgotten, it may have changed.
func (r *radio) triggerScan(ssid string) error {
	return r.set(unix.NL80211_CMD_TRIGGER_SCAN, r.of(func(e *netlink.AttributeEncoder) {
		e.Nested(unix.NL80211_ATTR_SCAN_SSIDS, func(e *netlink.AttributeEncoder) error {
			e.Bytes(1, []byte(ssid))
			e.Bytes(2, nil)
			return nil
		})
		e.Uint32(unix.NL80211_ATTR_SCAN_FLAGS, unix.NL80211_SCAN_FLAG_FLUSH)
	}))
}

// heard are the access points of the last scan. What cannot be read is left out.
func (r *radio) heard() ([]bss, error) {
	messages, err := r.dump(unix.NL80211_CMD_GET_SCAN, r.of(nil))
	if err != nil {
		return nil, fmt.Errorf("%s: results of the scan: %w", r.name, err)
	}
	var all []bss
	for _, m := range messages[:min(len(messages), maxHeard)] {
		if b, ok := parseBSS(m.Data); ok {
			all = append(all, b)
		}
	}
	return all, nil
}

// privacy is a bit of the capabilities (IEEE Std 802.11-2020, 9.4.1.4).
const privacy = 1 << 4

// parseBSS reads the attributes of one access point.
func parseBSS(data []byte) (b bss, ok bool) {
	d, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return bss{}, false
	}
	found := false
	for d.Next() {
		if d.Type() == unix.NL80211_ATTR_BSS {
			d.Nested(func(d *netlink.AttributeDecoder) error {
				found = b.readAttributes(d)
				return nil
			})
		}
	}
	return b, found && d.Err() == nil
}

// readAttributes tells whether an address was among them.
func (b *bss) readAttributes(d *netlink.AttributeDecoder) (found bool) {
	for d.Next() {
		switch d.Type() {
		case unix.NL80211_BSS_BSSID:
			found = len(d.Bytes()) == len(b.address)
			copy(b.address[:], d.Bytes())
		case unix.NL80211_BSS_FREQUENCY:
			b.frequency = d.Uint32()
		case unix.NL80211_BSS_SIGNAL_MBM:
			b.signal = d.Int32()
		case unix.NL80211_BSS_CAPABILITY:
			b.privacy = d.Uint16()&privacy != 0
		case unix.NL80211_BSS_INFORMATION_ELEMENTS:
			b.readElements(d.Bytes())
		}
	}
	return found
}

// connect begins an association. It is undone when the socket is closed,
// whatever becomes of this process. Data passes when the port is opened.
func (r *radio) connect(b *bss, rsn []byte) error {
	err := r.set(unix.NL80211_CMD_CONNECT, r.of(func(e *netlink.AttributeEncoder) {
		e.Bytes(unix.NL80211_ATTR_SSID, []byte(b.ssid))
		e.Bytes(unix.NL80211_ATTR_MAC, b.address[:])
		e.Uint32(unix.NL80211_ATTR_WIPHY_FREQ, b.frequency)
		e.Uint32(unix.NL80211_ATTR_AUTH_TYPE, unix.NL80211_AUTHTYPE_OPEN_SYSTEM)
		e.Flag(unix.NL80211_ATTR_SOCKET_OWNER, true)
		if rsn == nil {
			return
		}
		e.Flag(unix.NL80211_ATTR_PRIVACY, true)
		e.Flag(unix.NL80211_ATTR_CONTROL_PORT, true)
		e.Bytes(unix.NL80211_ATTR_IE, rsn)
		e.Uint32(unix.NL80211_ATTR_WPA_VERSIONS, unix.NL80211_WPA_VERSION_2)
		e.Uint32(unix.NL80211_ATTR_CIPHER_SUITES_PAIRWISE, uint32(cipherCCMP))
		e.Uint32(unix.NL80211_ATTR_CIPHER_SUITE_GROUP, uint32(cipherCCMP))
		e.Uint32(unix.NL80211_ATTR_AKM_SUITES, uint32(akmPSK))
	}))
	if err != nil {
		return fmt.Errorf("%s: connect to %q: %w", r.name, b.ssid, err)
	}
	return nil
}

// leaving is the reason that the access point is told: this box leaves.
const leaving = 3

func (r *radio) disconnect() error {
	return r.set(unix.NL80211_CMD_DISCONNECT, r.of(func(e *netlink.AttributeEncoder) {
		e.Uint16(unix.NL80211_ATTR_REASON_CODE, leaving)
	}))
}

func (r *radio) install(b *bss, k *installKey) error {
	err := r.set(unix.NL80211_CMD_NEW_KEY, r.of(func(e *netlink.AttributeEncoder) {
		e.Bytes(unix.NL80211_ATTR_KEY_DATA, k.key)
		e.Uint32(unix.NL80211_ATTR_KEY_CIPHER, uint32(cipherCCMP))
		e.Uint8(unix.NL80211_ATTR_KEY_IDX, k.index)
		if k.pairwise {
			e.Bytes(unix.NL80211_ATTR_MAC, b.address[:])
		} else {
			e.Bytes(unix.NL80211_ATTR_KEY_SEQ, k.seq[:])
		}
	}))
	if err != nil {
		return fmt.Errorf("%s: install key %d (pairwise: %v): %w", r.name, k.index, k.pairwise, err)
	}
	return nil
}

// openPort lets data pass (IEEE Std 802.1X-2010, 6.4).
func (r *radio) openPort(b *bss) error {
	return r.set(unix.NL80211_CMD_SET_STATION, r.of(func(e *netlink.AttributeEncoder) {
		e.Bytes(unix.NL80211_ATTR_MAC, b.address[:])
		const authorized = 1 << unix.NL80211_STA_FLAG_AUTHORIZED
		// struct nl80211_sta_flag_update: which flags, and what they are to be.
		flags := binary.NativeEndian.AppendUint32(nil, authorized)
		e.Bytes(unix.NL80211_ATTR_STA_FLAGS2, binary.NativeEndian.AppendUint32(flags, authorized))
	}))
}

// event is what the kernel tells of an interface.
type event struct {
	command        uint8
	index          uint32
	status, reason uint16
	timedOut       bool // without an answer
	byAP           bool
	request        []byte // elements that the driver has sent with its association
}

func parseEvent(command uint8, data []byte) (event, error) {
	e := event{command: command}
	d, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return e, err
	}
	for d.Next() {
		switch d.Type() {
		case unix.NL80211_ATTR_IFINDEX:
			e.index = d.Uint32()
		case unix.NL80211_ATTR_STATUS_CODE:
			e.status = d.Uint16()
		case unix.NL80211_ATTR_REASON_CODE:
			e.reason = d.Uint16()
		case unix.NL80211_ATTR_TIMED_OUT:
			e.timedOut = true
		case unix.NL80211_ATTR_DISCONNECTED_BY_AP:
			e.byAP = true
		case unix.NL80211_ATTR_REQ_IE:
			e.request = d.Bytes()
		}
	}
	return e, d.Err()
}

// sentRSN is the RSN element of an association, where the driver tells it.
func (e event) sentRSN() []byte {
	var b bss
	b.readElements(e.request)
	return b.rsn
}

// groups are those whose events count.
var groups = []string{unix.NL80211_MULTICAST_GROUP_MLME, unix.NL80211_MULTICAST_GROUP_SCAN, unix.NL80211_MULTICAST_GROUP_CONFIG}

// subscribe opens a socket for events. They come from now on.
func (r *radio) subscribe() (*genetlink.Conn, error) {
	conn, err := genetlink.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("nl80211: events: %w", err)
	}
	for _, name := range groups {
		if err := r.join(conn, name); err != nil {
			return nil, errors.Join(fmt.Errorf("nl80211: events %s: %w", name, err), conn.Close())
		}
	}
	return conn, nil
}

func (r *radio) join(conn *genetlink.Conn, name string) error {
	for _, g := range r.family.Groups {
		if g.Name == name {
			return conn.JoinGroup(g.ID)
		}
	}
	return errors.New("the kernel has no such group")
}
