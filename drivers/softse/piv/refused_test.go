package piv

import (
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// TestWrongUse has every status that a wrong command gets, with the security
// state that comes nearest to letting it pass.
func TestWrongUse(t *testing.T) {
	const (
		anyone = iota
		holder
		manager
	)
	oldNew := string(pad("123456")) + "654321\xFF\xFF"
	for _, tt := range []struct {
		name   string
		who    int
		cla    byte
		header [3]byte
		data   string
		want   apdu.SW
	}{
		{"class", anyone, 0x80, [3]byte{0x20, 0, 0x80}, "", apdu.SWClass},
		{"secure messaging", anyone, 0x0C, [3]byte{0x20, 0, 0x80}, "", apdu.SWSecureMessaging},
		{"further secure messaging", anyone, 0x60, [3]byte{0x20, 0, 0x80}, "", apdu.SWSecureMessaging},
		{"instruction", anyone, 0, [3]byte{0xB0, 0, 0}, "", apdu.SWInstruction},
		{"GET DATA of the other INS", anyone, 0, [3]byte{0xCA, 0x3F, 0xFF}, "\x5C\x01\x7E", apdu.SWInstruction},

		{"VERIFY P1", anyone, 0, [3]byte{0x20, 1, 0x80}, string(pad("123456")), apdu.SWIncorrectP1P2},
		{"VERIFY global PIN", anyone, 0, [3]byte{0x20, 0, 0x00}, string(pad("123456")), apdu.SWReferencedDataNotFound},
		{"VERIFY PUK", anyone, 0, [3]byte{0x20, 0, 0x81}, string(pad("123456")), apdu.SWReferencedDataNotFound},
		{"VERIFY fingerprint", anyone, 0, [3]byte{0x20, 0, 0x96}, "", apdu.SWReferencedDataNotFound},
		{"VERIFY short", anyone, 0, [3]byte{0x20, 0, 0x80}, "123456", apdu.SWWrongData},
		{"VERIFY long", anyone, 0, [3]byte{0x20, 0, 0x80}, "123456789", apdu.SWWrongData},
		{"VERIFY reset with data", anyone, 0, [3]byte{0x20, 0xFF, 0x80}, string(pad("123456")), apdu.SWWrongData},

		{"CHANGE P1", anyone, 0, [3]byte{0x24, 1, 0x80}, oldNew, apdu.SWIncorrectP1P2},
		{"CHANGE reference", anyone, 0, [3]byte{0x24, 0, 0x00}, oldNew, apdu.SWReferencedDataNotFound},
		{"CHANGE short", anyone, 0, [3]byte{0x24, 0, 0x80}, oldNew[:15], apdu.SWWrongData},
		{"CHANGE empty", anyone, 0, [3]byte{0x24, 0, 0x80}, "", apdu.SWWrongData},

		{"RESET RETRY P1", anyone, 0, [3]byte{0x2C, 1, 0x80}, oldNew, apdu.SWIncorrectP1P2},
		{"RESET RETRY reference", anyone, 0, [3]byte{0x2C, 0, 0x81}, oldNew, apdu.SWReferencedDataNotFound},
		{"RESET RETRY long", anyone, 0, [3]byte{0x2C, 0, 0x80}, oldNew + "1", apdu.SWWrongData},

		{"GENERATE P1", manager, 0, [3]byte{0x47, 1, 0x9A}, "\xAC\x03\x80\x01\x11", apdu.SWIncorrectP1P2},
		{"GENERATE slot", manager, 0, [3]byte{0x47, 0, 0x9B}, "\xAC\x03\x80\x01\x11", apdu.SWIncorrectP1P2},
		{"GENERATE after the last retired", manager, 0, [3]byte{0x47, 0, 0x96}, "\xAC\x03\x80\x01\x11", apdu.SWIncorrectP1P2},
		{"GENERATE by the holder", holder, 0, [3]byte{0x47, 0, 0x9A}, "\xAC\x03\x80\x01\x11", apdu.SWSecurityStatus},

		{"AUTHENTICATE slot", manager, 0, [3]byte{0x87, 0x11, 0x00}, "", apdu.SWIncorrectP1P2},
		{"AUTHENTICATE attestation key", manager, 0, [3]byte{0x87, 0x11, 0xF9}, "\x7C\x05\x82\x00\x81\x01\x01", apdu.SWIncorrectP1P2},
		{"AUTHENTICATE empty slot", manager, 0, [3]byte{0x87, 0x11, 0x9D}, "", apdu.SWReferencedDataNotFound},
		{"AUTHENTICATE other algorithm", manager, 0, [3]byte{0x87, 0x14, 0x9E}, "", apdu.SWIncorrectP1P2},
		{"AUTHENTICATE default algorithm of a slot", manager, 0, [3]byte{0x87, 0x00, 0x9E}, "", apdu.SWIncorrectP1P2},
		{"AUTHENTICATE other management algorithm", anyone, 0, [3]byte{0x87, 0x08, 0x9B}, "\x7C\x02\x80\x00", apdu.SWIncorrectP1P2},
		{"AUTHENTICATE without PIN", manager, 0, [3]byte{0x87, 0x11, 0x9C}, "\x7C\x05\x82\x00\x81\x01\x01", apdu.SWSecurityStatus},
		{"AUTHENTICATE no template", manager, 0, [3]byte{0x87, 0x11, 0x9E}, "", apdu.SWWrongData},
		{"AUTHENTICATE without response tag", manager, 0, [3]byte{0x87, 0x11, 0x9E}, "\x7C\x03\x81\x01\x01", apdu.SWWrongData},
		{"AUTHENTICATE response not empty", manager, 0, [3]byte{0x87, 0x11, 0x9E}, "\x7C\x06\x82\x01\x00\x81\x01\x01", apdu.SWWrongData},
		{"AUTHENTICATE both inputs", manager, 0, [3]byte{0x87, 0x11, 0x9E}, "\x7C\x06\x82\x00\x81\x00\x85\x00", apdu.SWWrongData},
		{"AUTHENTICATE no hash", manager, 0, [3]byte{0x87, 0x11, 0x9E}, "\x7C\x04\x82\x00\x81\x00", apdu.SWWrongData},
		{"AUTHENTICATE hash too long", manager, 0, [3]byte{0x87, 0x11, 0x9E}, "\x7C\x25\x82\x00\x81\x21" + oldNew + oldNew + "1", apdu.SWWrongData},

		{"GET DATA P1 P2", anyone, 0, [3]byte{0xCB, 0, 0}, "\x5C\x01\x7E", apdu.SWIncorrectP1P2},
		{"GET DATA no tag list", anyone, 0, [3]byte{0xCB, 0x3F, 0xFF}, "", apdu.SWWrongData},
		{"GET DATA empty tag list", anyone, 0, [3]byte{0xCB, 0x3F, 0xFF}, "\x5C\x00", apdu.SWWrongData},
		{"GET DATA long tag", anyone, 0, [3]byte{0xCB, 0x3F, 0xFF}, "\x5C\x04\x5F\xC1\x02\x00", apdu.SWWrongData},
		{"GET DATA more", anyone, 0, [3]byte{0xCB, 0x3F, 0xFF}, "\x5C\x01\x7E\x00", apdu.SWWrongData},

		{"PUT DATA P1 P2", manager, 0, [3]byte{0xDB, 0x3F, 0}, "\x5C\x03\x5F\xC1\x02\x53\x00", apdu.SWIncorrectP1P2},
		{"PUT DATA by the holder", holder, 0, [3]byte{0xDB, 0x3F, 0xFF}, "\x5C\x03\x5F\xC1\x02\x53\x00", apdu.SWSecurityStatus},
		{"PUT DATA discovery", manager, 0, [3]byte{0xDB, 0x3F, 0xFF}, "\x7E\x00", apdu.SWFunctionNotSupported},
		{"PUT DATA discovery by tag", manager, 0, [3]byte{0xDB, 0x3F, 0xFF}, "\x5C\x01\x7E\x53\x00", apdu.SWFunctionNotSupported},
		{"PUT DATA biometric", manager, 0, [3]byte{0xDB, 0x3F, 0xFF}, "\x7F\x61\x00", apdu.SWFunctionNotSupported},
		{"PUT DATA no object", manager, 0, [3]byte{0xDB, 0x3F, 0xFF}, "\x5C\x03\x5F\xC1\x02", apdu.SWWrongData},
		{"PUT DATA other object", manager, 0, [3]byte{0xDB, 0x3F, 0xFF}, "\x5C\x03\x5F\xC1\x02\x54\x00", apdu.SWWrongData},
		{"PUT DATA more", manager, 0, [3]byte{0xDB, 0x3F, 0xFF}, "\x5C\x03\x5F\xC1\x02\x53\x00\x00", apdu.SWWrongData},
		{"PUT DATA empty", manager, 0, [3]byte{0xDB, 0x3F, 0xFF}, "", apdu.SWWrongData},

		{"MOVE from no slot", manager, 0, [3]byte{0xF6, 0x82, 0x9B}, "", apdu.SWIncorrectP1P2},
		{"MOVE to no slot", manager, 0, [3]byte{0xF6, 0x80, 0x9E}, "", apdu.SWIncorrectP1P2},
		{"MOVE to itself", manager, 0, [3]byte{0xF6, 0x9E, 0x9E}, "", apdu.SWIncorrectP1P2},
		{"MOVE to attestation", manager, 0, [3]byte{0xF6, 0xF9, 0x9E}, "", apdu.SWIncorrectP1P2},
		{"MOVE from attestation", manager, 0, [3]byte{0xF6, 0x82, 0xF9}, "", apdu.SWIncorrectP1P2},
		{"MOVE with data", manager, 0, [3]byte{0xF6, 0x82, 0x9E}, "1", apdu.SWWrongLength},
		{"MOVE by the holder", holder, 0, [3]byte{0xF6, 0x82, 0x9E}, "", apdu.SWSecurityStatus},

		{"METADATA P1", anyone, 0, [3]byte{0xF7, 1, 0x9E}, "", apdu.SWIncorrectP1P2},
		{"METADATA no slot", anyone, 0, [3]byte{0xF7, 0, 0x00}, "", apdu.SWReferencedDataNotFound},
		{"METADATA fingerprint", anyone, 0, [3]byte{0xF7, 0, 0x96}, "", apdu.SWReferencedDataNotFound},
		{"METADATA with data", anyone, 0, [3]byte{0xF7, 0, 0x9E}, "1", apdu.SWWrongLength},
		{"SERIAL P2", anyone, 0, [3]byte{0xF8, 0, 1}, "", apdu.SWIncorrectP1P2},
		{"VERSION with data", anyone, 0, [3]byte{0xFD, 0, 0}, "1", apdu.SWWrongLength},
		{"ATTEST P2", anyone, 0, [3]byte{0xF9, 0x9E, 1}, "", apdu.SWIncorrectP1P2},
		{"ATTEST no slot", anyone, 0, [3]byte{0xF9, 0x9B, 0}, "", apdu.SWIncorrectP1P2},
		{"ATTEST with data", anyone, 0, [3]byte{0xF9, 0x9E, 0}, "1", apdu.SWWrongLength},

		{"RETRIES no try", manager, 0, [3]byte{0xFA, 0, 3}, "", apdu.SWIncorrectP1P2},
		{"RETRIES no try of the PUK", manager, 0, [3]byte{0xFA, 3, 0}, "", apdu.SWIncorrectP1P2},
		{"RETRIES with data", manager, 0, [3]byte{0xFA, 3, 3}, "1", apdu.SWWrongLength},
		{"RETRIES without PIN", manager, 0, [3]byte{0xFA, 3, 3}, "", apdu.SWSecurityStatus},
		{"RETRIES by the holder", holder, 0, [3]byte{0xFA, 3, 3}, "", apdu.SWSecurityStatus},
		{"RESET P1", manager, 0, [3]byte{0xFB, 1, 0}, "", apdu.SWIncorrectP1P2},
		{"RESET not blocked", manager, 0, [3]byte{0xFB, 0, 0}, "", apdu.SWConditionsNotSatisfied},

		{"IMPORT slot", manager, 0, [3]byte{0xFE, 0x11, 0x9B}, "", apdu.SWIncorrectP1P2},
		{"IMPORT by the holder", holder, 0, [3]byte{0xFE, 0x11, 0x9A}, "", apdu.SWSecurityStatus},
		{"IMPORT X25519 to attest", manager, 0, [3]byte{0xFE, 0xE1, 0xF9}, "\x08\x20" + oldNew + oldNew, apdu.SWWrongData},

		{"MANAGEMENT P1", manager, 0, [3]byte{0xFF, 0, 0xFF}, "", apdu.SWIncorrectP1P2},
		{"MANAGEMENT P2", manager, 0, [3]byte{0xFF, 0xFF, 0xFC}, "", apdu.SWIncorrectP1P2},
		{"MANAGEMENT by the holder", holder, 0, [3]byte{0xFF, 0xFF, 0xFF}, "\x08\x9B\x10" + oldNew, apdu.SWSecurityStatus},
		{"MANAGEMENT empty", manager, 0, [3]byte{0xFF, 0xFF, 0xFF}, "", apdu.SWWrongData},
		{"MANAGEMENT algorithm", manager, 0, [3]byte{0xFF, 0xFF, 0xFF}, "\x11\x9B\x10" + oldNew, apdu.SWWrongData},
		{"MANAGEMENT reference", manager, 0, [3]byte{0xFF, 0xFF, 0xFF}, "\x08\x9A\x10" + oldNew, apdu.SWWrongData},
		{"MANAGEMENT length", manager, 0, [3]byte{0xFF, 0xFF, 0xFF}, "\x0C\x9B\x10" + oldNew, apdu.SWWrongData},
		{"MANAGEMENT cut", manager, 0, [3]byte{0xFF, 0xFF, 0xFF}, "\x08\x9B\x10" + oldNew[1:], apdu.SWWrongData},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t)
			c.authenticate()
			c.generate(slotCardAuthentication, algP256)
			c.ok(0x47, 0, 0x9C, unhex("AC03800111"))
			switch tt.who {
			case anyone:
				c = c.another()
			case holder:
				c = c.another()
				c.verify("123456")
			}
			before := len(c.card.saved)
			r := c.s.Process(apdu.Command{CLA: tt.cla, INS: tt.header[0], P1: tt.header[1], P2: tt.header[2], Data: []byte(tt.data)})
			if r.SW != tt.want || len(r.Data) != 0 {
				t.Errorf("got %v with %d bytes, want %v", r.SW, len(r.Data), tt.want)
			}
			if len(c.card.saved) != before {
				t.Error("something was committed")
			}
		})
	}
}
