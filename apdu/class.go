package apdu

// Channels is the number of logical channels that a CLA byte can name
// (ISO/IEC 7816-4, 5.4.1): 0 to 3 in the first form, 4 to 19 in the further.
const Channels = 20

// A Class is the CLA byte of a command (ISO/IEC 7816-4, 5.4.1, and
// GlobalPlatform Card Specification 2.3.1, 11.1.4, which codes its
// proprietary classes the same way).
type Class byte

// Proprietary tells whether bit 8 is set: GlobalPlatform management commands
// and an application's own ones.
func (c Class) Proprietary() bool { return c&0x80 != 0 }

// Further tells whether the class has the second form, for channels 4 to 19.
func (c Class) Further() bool { return c&0x40 != 0 }

// Channel is the logical channel, 0 to 19.
func (c Class) Channel() int {
	if c.Further() {
		return 4 + int(c&0x0F)
	}
	return int(c & 0x03)
}

// Chained tells whether bit 5 says that more commands of a chain follow
// (ISO/IEC 7816-4, 5.3.3).
func (c Class) Chained() bool { return c&0x10 != 0 }

// SecureMessaging tells whether the class announces secure messaging of any
// kind.
func (c Class) SecureMessaging() bool {
	if c.Further() {
		return c&0x20 != 0
	}
	return c&0x0C != 0
}

// Plain is the class on channel 0 without secure messaging and chaining: 00
// or 80.
func (c Class) Plain() byte { return byte(c & 0x80) }

// OnChannel returns class byte cla (of the first form, on channel 0) for
// channel n, 0 to 19. Secure messaging of any kind becomes the one indication
// that the further form has.
func OnChannel(cla byte, n int) byte {
	if n < 4 {
		return cla&^0x03 | byte(n)
	}
	further := cla&0x90 | 0x40 | byte(n-4)
	if Class(cla).SecureMessaging() {
		further |= 0x20
	}
	return further
}
