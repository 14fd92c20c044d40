package wifi

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// supplicant is the box's side of the handshakes of IEEE Std 802.11-2020, 12.7.6
// and 12.7.7, for one association with the key management PSK and the cipher
// CCMP. It has no socket and no clock: it takes frames and says what to do.
type supplicant struct {
	pmk     Key
	ap, own address
	rsn     []byte // the element that the box has sent with its association
	apRSN   []byte // what the access point has sent in its beacon or probe response
	apRSNX  []byte // likewise, nil where there is none
	random  func(*nonce)

	counter  uint64 // of the last frame with a good code; one that is not above it is a replay
	counted  bool
	snonce   *nonce    // of the handshake that runs
	pending  *ptk      // that it will have
	current  *ptk      // that is in use
	group    [4][]byte // what each index has
	answered int       // first messages since the last good third one
	badMICs  int       // since then
}

// newSupplicant begins when an association does.
func newSupplicant(pmk Key, b *bss, own address, rsn []byte) *supplicant {
	return &supplicant{
		pmk: pmk, ap: b.address, own: own, rsn: rsn, apRSN: b.rsn, apRSNX: b.rsnx,
		// It never fails: see its documentation.
		random: func(n *nonce) { _, _ = rand.Read(n[:]) },
	}
}

// step is one thing to do: a frame to send, or else a key to install.
type step struct {
	send    []byte
	install *installKey
}

// installKey is a key for the driver.
type installKey struct {
	pairwise bool
	index    uint8
	key      []byte  // 16 bytes
	seq      [6]byte // the last packet number that was received, the least byte first
}

// errDropped is a frame that has no effect: as the standard wants, nobody is told.
var errDropped = errors.New("EAPOL frame is dropped")

func drop(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errDropped, fmt.Errorf(format, args...))
}

// joined tells whether keys are installed, and data may pass.
func (s *supplicant) joined() bool { return s.current != nil }

// handle takes a frame and returns what to do, in this order. Where it returns
// another error than errDropped, the network has to be left.
func (s *supplicant) handle(frame []byte) ([]step, error) {
	f, err := parseKeyFrame(frame)
	if err != nil {
		return nil, drop("%w", err)
	}
	if f.info&infoVersion != versionAES {
		return nil, drop("key descriptor version %d, want %d", f.info&infoVersion, versionAES)
	}
	if f.info&(infoError|infoRequest|infoSMK) != 0 || !f.info.has(infoAck) {
		return nil, drop("key information %04X is not an access point's", uint16(f.info))
	}
	if s.counted && f.counter <= s.counter {
		return nil, drop("replay counter %d is not above %d", f.counter, s.counter)
	}
	switch {
	case !f.info.has(infoPairwise):
		return s.groupMessage(f)
	case f.info.has(infoMIC):
		return s.thirdMessage(f)
	default:
		return s.firstMessage(f)
	}
}

// firstMessage answers message 1 (12.7.6.2) with message 2 (12.7.6.3). Anybody
// can send it, so nothing that is in use changes. It does not count for the
// replay counter either.
func (s *supplicant) firstMessage(f keyFrame) ([]step, error) {
	if f.info&(infoInstall|infoEncrypted) != 0 {
		return nil, drop("message 1: key information %04X", uint16(f.info))
	}
	if s.snonce == nil {
		s.snonce = new(nonce)
		s.random(s.snonce)
	}
	s.pending = derive(s.pmk, s.ap, s.own, f.nonce, *s.snonce)
	s.answered++
	answer := keyFrame{
		protocol: protocol(f), info: versionAES | infoPairwise | infoMIC | f.info&infoSecure,
		counter: f.counter, nonce: *s.snonce, data: s.rsn,
	}
	return []step{{send: answer.marshal(s.pending)}}, nil
}

// thirdMessage answers message 3 (12.7.6.4) with message 4 (12.7.6.5), and
// installs the keys. Repeated, it is answered, and no key that is in use is
// installed again: that would begin its packet numbers again.
func (s *supplicant) thirdMessage(f keyFrame) ([]step, error) {
	if !f.info.has(infoInstall|infoSecure|infoEncrypted) || f.keyLength != 16 {
		return nil, drop("message 3: key information %04X, key length %d", uint16(f.info), f.keyLength)
	}
	k := s.keyOf(f)
	if k == nil {
		s.badMICs++
		return nil, drop("message 3: no key of the handshake fits its nonce and its integrity code")
	}
	s.count(f)
	data, err := s.open(k, f)
	if err != nil {
		return nil, fmt.Errorf("message 3: %w", err)
	}
	// Or somebody has made the access point look weaker than it is. The extension
	// says nothing of WPA2, and older access points leave it out here.
	if !bytes.Equal(data.rsn, s.apRSN) || data.rsnx != nil && !bytes.Equal(data.rsnx, s.apRSNX) {
		return nil, fmt.Errorf("%w: the 4-way handshake has other RSN elements than the beacon; somebody may have forged the beacon", ErrRefused)
	}
	group, err := s.groupKey(data, f)
	if err != nil {
		return nil, fmt.Errorf("message 3: %w", err)
	}
	answer := keyFrame{protocol: protocol(f), info: versionAES | infoPairwise | infoMIC | infoSecure, counter: f.counter}
	// Before the key is there: the access point does not have it yet.
	steps := []step{{send: answer.marshal(k)}}
	if k != s.current {
		steps = append(steps, step{install: &installKey{pairwise: true, key: k.tk[:]}})
		s.current = k
	}
	s.pending, s.snonce, s.answered, s.badMICs = nil, nil, 0, 0
	return append(steps, group...), nil
}

// groupMessage answers the group key handshake (12.7.7).
func (s *supplicant) groupMessage(f keyFrame) ([]step, error) {
	if !f.info.has(infoMIC | infoSecure | infoEncrypted) {
		return nil, drop("group message 1: key information %04X", uint16(f.info))
	}
	if s.current == nil || !s.current.confirms(f) {
		return nil, drop("group message 1: there is no key that confirms it")
	}
	s.count(f)
	data, err := s.open(s.current, f)
	if err != nil {
		return nil, fmt.Errorf("group message 1: %w", err)
	}
	steps, err := s.groupKey(data, f)
	if err != nil {
		return nil, fmt.Errorf("group message 1: %w", err)
	}
	answer := keyFrame{protocol: protocol(f), info: versionAES | infoMIC | infoSecure, counter: f.counter}
	return append(steps, step{send: answer.marshal(s.current)}), nil
}

// keyOf finds the key that message 3 confirms: of the handshake that runs, or
// the one in use where its message 4 was lost.
func (s *supplicant) keyOf(f keyFrame) *ptk {
	for _, k := range []*ptk{s.pending, s.current} {
		if k != nil && k.anonce == f.nonce && k.confirms(f) {
			return k
		}
	}
	return nil
}

// confirms tells whether the frame comes from who has the key.
func (k *ptk) confirms(f keyFrame) bool {
	want := k.mic(f.zeroMIC())
	return hmac.Equal(want[:], f.mic[:])
}

// count remembers the counter of a frame that is confirmed.
func (s *supplicant) count(f keyFrame) { s.counter, s.counted = f.counter, true }

// protocol is the version of EAPOL that the other side speaks, of those that are
// known.
func protocol(f keyFrame) byte { return max(1, min(f.protocol, 2)) }

// keyData is what message 3 and group message 1 bring.
type keyData struct {
	rsn, rsnx []byte
	gtk       []byte // the body of the KDE: index, reserved, key
}

var errKeyData = errors.New("key data of the access point cannot be used")

// KDEs are vendor elements (IEEE Std 802.11-2020, 12.7.2, table 12-9).
const kdeGTK suite = 0x000FAC01

// open decrypts the key data of a frame and takes it apart.
func (s *supplicant) open(k *ptk, f keyFrame) (keyData, error) {
	plain, err := unwrap(k.kek[:], f.data)
	if err != nil {
		return keyData{}, fmt.Errorf("%w: %w", errKeyData, err)
	}
	var d keyData
	twice := false
	take := func(to *[]byte, what []byte) {
		twice = twice || *to != nil
		*to = what
	}
	rest := eachElement(plain, func(id byte, e []byte) {
		switch {
		case id == elementRSN:
			take(&d.rsn, e)
		case id == elementRSNX:
			take(&d.rsnx, e)
		case id == elementVendor && len(e) >= 6 && suite(binary.BigEndian.Uint32(e[2:])) == kdeGTK:
			take(&d.gtk, e[6:])
		}
	})
	// Padding is a byte DD and zeros up to a multiple of eight: elements without
	// a body, and perhaps half of one.
	if len(rest) > 1 || len(rest) == 1 && rest[0] != elementVendor && rest[0] != 0 {
		return keyData{}, fmt.Errorf("%w: %d bytes are no element", errKeyData, len(rest))
	}
	if twice {
		return keyData{}, fmt.Errorf("%w: an element is there twice", errKeyData)
	}
	return d, nil
}

// groupKey is the step that installs the group key, none where it is in use.
func (s *supplicant) groupKey(d keyData, f keyFrame) ([]step, error) {
	const header, size = 2, 16
	if d.gtk == nil {
		return nil, fmt.Errorf("%w: there is no group key in it", errKeyData)
	}
	if len(d.gtk) != header+size {
		return nil, fmt.Errorf("%w: a group key of %d bytes, want %d for CCMP", errKeyData, len(d.gtk)-header, size)
	}
	index, key := d.gtk[0]&3, bytes.Clone(d.gtk[header:])
	if old := s.group[index]; old != nil && subtle.ConstantTimeCompare(old, key) == 1 {
		return nil, nil
	}
	s.group[index] = key
	return []step{{install: &installKey{index: index, key: key, seq: [6]byte(f.rsc[:6])}}}, nil
}
