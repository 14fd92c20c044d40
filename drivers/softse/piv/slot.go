package piv

// slot is the key reference of a private key (SP 800-73-4 part 1, table 4b).
type slot byte

// Key references beside those of the retired keys, 82 to 95.
const (
	slotAuthentication     slot = 0x9A
	slotSignature          slot = 0x9C
	slotKeyManagement      slot = 0x9D
	slotCardAuthentication slot = 0x9E
	slotAttestation        slot = 0xF9

	slotRetiredFirst slot = 0x82
	slotRetiredLast  slot = 0x95

	refPIN        = 0x80
	refPUK        = 0x81
	refManagement = 0x9B
)

// valid tells whether the slot holds asymmetric keys.
func (s slot) valid() bool {
	switch s {
	case slotAuthentication, slotSignature, slotKeyManagement, slotCardAuthentication, slotAttestation:
		return true
	}
	return s >= slotRetiredFirst && s <= slotRetiredLast
}

// pinPolicy is when a private key asks for the PIN.
type pinPolicy byte

const (
	pinNever  pinPolicy = 1
	pinOnce   pinPolicy = 2 // verified in this selection
	pinAlways pinPolicy = 3 // verified since the last use of a private key
)

func (p pinPolicy) valid() bool { return p >= pinNever && p <= pinAlways }

// touchPolicy is when a private key asks for a touch. It is kept and told.
type touchPolicy byte

const (
	touchNever  touchPolicy = 1
	touchAlways touchPolicy = 2
	touchCached touchPolicy = 3
)

func (t touchPolicy) valid() bool { return t >= touchNever && t <= touchCached }

// defaultPINPolicy is what a key gets that is made or imported without one:
// the access rules of SP 800-73-4 part 1, table 4b. The attestation key only
// signs attestations, which ask for no PIN.
func (s slot) defaultPINPolicy() pinPolicy {
	switch s {
	case slotSignature:
		return pinAlways
	case slotCardAuthentication, slotAttestation:
		return pinNever
	}
	return pinOnce
}
