package wifi

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The frames of IEEE Std 802.1X-2010, 11.3, and of IEEE Std 802.11-2020, 12.7.2.
const (
	eapolHeader = 4  // version, type, length of the body
	keyBody     = 95 // an EAPOL-Key frame's without key data
	keyFrameMin = eapolHeader + keyBody
	micAt       = eapolHeader + 77

	// maxFrame bounds what is read. A frame of Wi-Fi has no more.
	maxFrame = 2304

	typeKey       = 3 // EAPOL-Key
	descriptorRSN = 2
)

// keyInfo are the bits of the field Key Information.
type keyInfo uint16

const (
	infoVersion   keyInfo = 7
	infoPairwise  keyInfo = 1 << 3
	infoInstall   keyInfo = 1 << 6
	infoAck       keyInfo = 1 << 7
	infoMIC       keyInfo = 1 << 8
	infoSecure    keyInfo = 1 << 9
	infoError     keyInfo = 1 << 10
	infoRequest   keyInfo = 1 << 11
	infoEncrypted keyInfo = 1 << 12
	infoSMK       keyInfo = 1 << 13

	// versionAES is HMAC-SHA1-128 with AES key wrap, what CCMP with the key
	// management PSK has.
	versionAES keyInfo = 2
)

// has tells whether all of these bits are set.
func (i keyInfo) has(bits keyInfo) bool { return i&bits == bits }

// keyFrame is an EAPOL-Key frame.
type keyFrame struct {
	protocol  byte // version of EAPOL
	info      keyInfo
	keyLength uint16
	counter   uint64
	nonce     nonce
	rsc       [8]byte // the group key's receive sequence counter, the least first
	mic       micCode
	data      []byte
	raw       []byte // as it came, without padding
}

var errFrame = errors.New("malformed EAPOL-Key frame")

// parseKeyFrame reads a frame from behind its Ethernet header. What it returns
// shares memory with it.
func parseKeyFrame(b []byte) (keyFrame, error) {
	if len(b) < eapolHeader || len(b) > maxFrame {
		return keyFrame{}, fmt.Errorf("%w: %d bytes", errFrame, len(b))
	}
	end := eapolHeader + int(binary.BigEndian.Uint16(b[2:]))
	if b[1] != typeKey || end < keyFrameMin || end > len(b) {
		return keyFrame{}, fmt.Errorf("%w: type %d, %d of %d bytes", errFrame, b[1], end, len(b))
	}
	f := keyFrame{protocol: b[0], raw: b[:end]}
	body := b[eapolHeader:end]
	if body[0] != descriptorRSN {
		return keyFrame{}, fmt.Errorf("%w: descriptor %d", errFrame, body[0])
	}
	f.info = keyInfo(binary.BigEndian.Uint16(body[1:]))
	f.keyLength = binary.BigEndian.Uint16(body[3:])
	f.counter = binary.BigEndian.Uint64(body[5:])
	f.nonce = nonce(body[13:45])
	// The IV, 45 to 61, is not used with AES key wrap; 69 to 77 is reserved.
	f.rsc = [8]byte(body[61:69])
	f.mic = micCode(body[77:93])
	if n := int(binary.BigEndian.Uint16(body[93:])); n != len(body)-keyBody {
		return keyFrame{}, fmt.Errorf("%w: %d bytes of key data in a frame with %d", errFrame, n, len(body)-keyBody)
	}
	f.data = body[keyBody:]
	return f, nil
}

// zeroMIC is the frame as its integrity code is made over it.
func (f keyFrame) zeroMIC() []byte {
	b := append([]byte(nil), f.raw...)
	clear(b[micAt : micAt+len(micCode{})])
	return b
}

// marshal makes a frame with its integrity code.
func (f keyFrame) marshal(k *ptk) []byte {
	b := make([]byte, keyFrameMin, keyFrameMin+len(f.data))
	b[0], b[1] = f.protocol, typeKey
	binary.BigEndian.PutUint16(b[2:], uint16(keyBody+len(f.data)))
	body := b[eapolHeader:]
	body[0] = descriptorRSN
	binary.BigEndian.PutUint16(body[1:], uint16(f.info))
	binary.BigEndian.PutUint16(body[3:], f.keyLength)
	binary.BigEndian.PutUint64(body[5:], f.counter)
	copy(body[13:], f.nonce[:])
	copy(body[61:], f.rsc[:])
	binary.BigEndian.PutUint16(body[93:], uint16(len(f.data)))
	b = append(b, f.data...)
	code := k.mic(b)
	copy(b[micAt:], code[:])
	return b
}
