package piv

import (
	"bytes"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

func TestDiscoveryObject(t *testing.T) {
	c := newClient(t)
	want := unhex("7E12 4F0BA000000308000010000100 5F2F024000")
	if got := c.ok(0xCB, 0x3F, 0xFF, unhex("5C017E")); !bytes.Equal(got, want) {
		t.Errorf("got % X, want % X", got, want)
	}
}

// What the tools read first on a card that nobody has filled.
func TestAbsentObjects(t *testing.T) {
	c := newClient(t)
	for _, tag := range []apdu.Tag{0x5FC102, 0x5FC105, 0x5FC107, 0x5FC10C, 0x5FC10D, 0x5FFF00} {
		c.refused(apdu.SWFileNotFound, 0xCB, 0x3F, 0xFF, object(tag))
	}
	c.refused(apdu.SWFileNotFound, 0xCB, 0x3F, 0xFF, unhex("5C027F61"))
	c.refused(apdu.SWFileNotFound, 0xCB, 0x3F, 0xFF, unhex("5C0199"))
}

func TestObjectsThatNeedThePIN(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	for _, tag := range []apdu.Tag{0x5FC103, 0x5FC108, 0x5FC109, 0x5FC121, 0x5FC123} {
		c.refused(apdu.SWSecurityStatus, 0xCB, 0x3F, 0xFF, object(tag))
		c.ok(0xDB, 0x3F, 0xFF, object(tag), unhex("5303AABBCC"))
		c.refused(apdu.SWSecurityStatus, 0xCB, 0x3F, 0xFF, object(tag))
	}
	c.verify("123456")
	for _, tag := range []apdu.Tag{0x5FC103, 0x5FC108, 0x5FC109, 0x5FC121, 0x5FC123} {
		if got := c.ok(0xCB, 0x3F, 0xFF, object(tag)); !bytes.Equal(got, unhex("5303AABBCC")) {
			t.Errorf("%X: got % X", uint32(tag), got)
		}
	}
}

func TestObjectsAreBounded(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	put := func(tag apdu.Tag, n int) apdu.SW {
		return c.send(0xDB, 0x3F, 0xFF, object(tag), apdu.AppendTLV(nil, 0x53, bytes.Repeat([]byte{1}, n))).SW
	}
	if got := put(0x5FC101, maxObject+1); got != apdu.SWNotEnoughMemory {
		t.Errorf("object too long: %v", got)
	}
	tag, total := apdu.Tag(0x5F0000), len(c.card.app.state.objects[objectAttestation])
	for ; total+maxObject <= maxStored; total += maxObject {
		if got := put(tag, maxObject); got != ok {
			t.Fatalf("after %d bytes: %v", total, got)
		}
		tag++
	}
	if got := put(tag, maxObject); got != apdu.SWNotEnoughMemory {
		t.Errorf("all too long: %v", got)
	}
	if got := put(tag-1, maxObject); got != ok {
		t.Errorf("in place of one as long: %v", got)
	}
	if got := put(tag-1, 0); got != ok {
		t.Errorf("deleted: %v", got)
	}
	for n := len(c.card.app.state.objects); n < maxObjects; n++ {
		if got := put(tag+apdu.Tag(n), 1); got != ok {
			t.Fatalf("object %d: %v", n, got)
		}
	}
	if got := put(0x5FFFFF, 1); got != apdu.SWNotEnoughMemory {
		t.Errorf("one too many: %v", got)
	}
	c.reload()
}

func TestObjectChangeThatCannotBeKept(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.ok(0xDB, 0x3F, 0xFF, object(0x5FC102), unhex("530101"))
	c.card.fail = func() bool { return true }
	c.refused(apdu.SWMemoryFailure, 0xDB, 0x3F, 0xFF, object(0x5FC102), unhex("530102"))
	c.refused(apdu.SWMemoryFailure, 0xDB, 0x3F, 0xFF, object(0x5FC102), unhex("5300"))
	c.refused(apdu.SWMemoryFailure, 0xDB, 0x3F, 0xFF, object(0x5FC105), unhex("530102"))
	if got := c.ok(0xCB, 0x3F, 0xFF, object(0x5FC102)); !bytes.Equal(got, unhex("530101")) {
		t.Errorf("got % X", got)
	}
	c.refused(apdu.SWFileNotFound, 0xCB, 0x3F, 0xFF, object(0x5FC105))
}
