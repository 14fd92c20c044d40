package softse

import (
	"bytes"
	"context"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/internal/offcard"
)

// split cuts fuzz data into parts: a length of two bytes before each.
func split(b []byte) (parts [][]byte) {
	for len(b) >= 2 && len(parts) < 64 {
		n := min(int(b[0])<<8|int(b[1]), len(b)-2)
		parts, b = append(parts, b[2:2+n]), b[2+n:]
	}
	return parts
}

func join(t testing.TB, parts ...string) (b []byte) {
	for _, p := range parts {
		part := unhex(t, p)
		b = append(append(b, byte(len(part)>>8), byte(len(part))), part...)
	}
	return b
}

// FuzzDispatcher sends sequences of APDUs, well formed and not. Whatever
// comes, each gets an answer, and the card still selects afterwards.
func FuzzDispatcher(f *testing.F) {
	f.Add(false, join(f, selectTest, "1010000002AABB", "0010000001CC02", "00C0000001"))
	f.Add(true, join(f, selectTest, "00C000000A", "0010010000", "00C0000000"))
	f.Add(false, join(f, "0070000001", "01A4040006F05453455301", "0110000300", "0170800000", "0270000200"))
	f.Add(false, join(f, selectISD, "80500000080102030405060708", "848201001000112233445566778899AABBCCDDEEFF", "84F24002084F00112233445566"))
	f.Add(false, join(f, "00A4040000", "00A4040201F0", "80CA006600", "80CA9F7F00", "0084000000", "001000000001F40000"))
	f.Fuzz(func(t *testing.T, t0 bool, b []byte) {
		opts := testOpts(&memory{})
		opts.T0 = t0
		c := newCard(t, opts)
		tries := 0
		for _, command := range split(b) {
			cmd, err := apdu.Parse(command)
			if err == nil && (long(cmd) || cmd.INS == insFault) {
				continue
			}
			if err == nil && cmd.INS == apdu.INSExternalAuthenticate {
				if tries++; tries > 3 {
					continue // it would wait
				}
			}
			answer, err := c.Transmit(context.Background(), command)
			if err != nil || len(answer) < 2 || len(answer) > apdu.MaxResponse {
				t.Fatalf("%X: answer of %d bytes, %v", command, len(answer), err)
			}
		}
		if got := send(t, c, "00A4040C06F05453455301"); got != "9000" {
			t.Fatalf("SELECT after all: %s", got)
		}
	})
}

// FuzzManagement sends management commands over a secure channel: a header of
// four bytes and data each. Whatever was done, the state that is left is one
// that a card comes out of.
func FuzzManagement(f *testing.F) {
	install := "80E60C00" + lv(appPackage, appModule, "F000000001", "00", "C9021122", "")
	f.Add(join(f, install, "80F04080F000000001", "80F04000F000000001", "80E40000"+"4F05F000000001"))
	f.Add(join(f, "80E60C00"+lv(ssdPackage, ssdModule, ssdAID, "80", "", ""), "80E61000"+lv(ssdAID, "", appModule, "", "", ""), "80F06080"+ssdAID, "80E40080"+"4F09"+ssdAID))
	f.Add(join(f, "80E60400"+lv(appPackage, appModule, "F000000001", "04", "EF00", ""), "80E60800"+lv("", "", "F000000001", "04", "", "")))
	f.Add(join(f, "80E62000"+lv("", "", appModule, "", "", ""), "80E200001122", "80E2800133", "80E290004202AABB4501CC"))
	f.Add(join(f, "80F240024F00", "80F280024F00", "80F220024F00", "80F210024F00", "80F240004F005C024F00"))
	f.Add(join(f, "80F08007", "80F0800F", "80F0807F", "80F0800F", "80F080FF"))
	f.Add(join(f, "80D8008131"+"8811"+"10"+"00112233445566778899AABBCCDDEEFF"+"03AABBCC", "80D830013088110000112233445566778899AABBCCDDEEFF00", "80E40000D20130"))
	f.Fuzz(func(t *testing.T, b []byte) {
		store := &memory{}
		a := dialISD(t, newCard(t, testOpts(store)))
		for _, part := range split(b) {
			if len(part) < 4 || len(part) > 4+220 {
				continue
			}
			part = bytes.Clone(part)
			part[0] &= 0x80 // else the command does not reach the secure channel, which then is not in step
			answer, sw, err := a.transmit(a.h.Wrap(part[:4], part[4:], 0))
			if err != nil {
				t.Fatalf("%X: %v", part, err)
			}
			if _, err := a.h.Unwrap(answer, sw); err != nil {
				t.Fatalf("%X: %v", part, err)
			}
			if sw == 0x6982 && part[1] != apdu.INSExternalAuthenticate {
				t.Fatalf("%X: %04X in an open secure channel", part, sw)
			}
			if part[1] == apdu.INSExternalAuthenticate || part[1] == apdu.INSInitializeUpdate || bytes.Equal(part, []byte{0x80, 0xF0, 0x80, 0xFF}) {
				break // the secure channel has ended
			}
		}
		c, err := New(testOpts(store))
		if err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(store.state)
		if err := c.registry.Commit(); err != nil || !bytes.Equal(before, store.state) {
			t.Fatalf("the state is another after it was loaded (%v):\n%x\n%x", err, before, store.state)
		}
	})
}

// FuzzPutKey sends PUT KEY with keys that are encrypted properly, so that
// what lies behind the decryption is reached.
func FuzzPutKey(f *testing.F) {
	f.Add(byte(0), byte(0x81), byte(0x31), 16, 16, 16)
	f.Add(byte(0x30), byte(0x81), byte(0x30), 32, 32, 32)
	f.Add(byte(0x30), byte(0x02), byte(0x30), 16, 0, 0)
	f.Fuzz(func(t *testing.T, p1, p2, version byte, n1, n2, n3 int) {
		c := newCard(t, testOpts(nil))
		a := dialISD(t, c)
		data := []byte{version}
		for _, n := range []int{n1, n2, n3} {
			if n == 16 || n == 24 || n == 32 {
				data = append(data, a.h.KeyField(make([]byte, n))...)
			}
		}
		_, sw, err := a.h.Send(a.transmit, []byte{0x80, 0xD8, p1, p2}, data)
		if err != nil {
			t.Fatal(err)
		}
		keys := offcard.TestKeys()
		if sw == 0x9000 && (p1 == 0x30 || p1 == 0) && n1 == n2 && n2 == n3 {
			zero := make([]byte, n1)
			keys = offcard.Keys{Version: version, ENC: zero, MAC: zero, DEK: zero}
		} else if sw == 0x9000 {
			return // one key of the set: another test's
		}
		dial(t, c, isdAID, keys, 8, 0x33)
	})
}
