package piv

import (
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// TestOrderOfChecks is SP 800-73-4 part 2, clauses 3.1 to 3.3, and what the
// makers' tools expect where it leaves a choice, command by command: which of
// the things that are wrong is told, and what a refused command leaves of the
// security status and of the tries. TestWrongUse has one wrong thing at a time.
func TestOrderOfChecks(t *testing.T) {
	const (
		pin, puk = "31323334 3536FFFF", "3132333435363738"
		wrong    = "30303030 3030FFFF"
		bad      = "3132FFFFFFFFFFFF" // no reference data: too short
		none     = "FFFFFFFFFFFFFFFF"
		digest   = "7C 24 82 00 81 20 0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20"
	)
	denied, data := apdu.SWSecurityStatus, apdu.SWWrongData
	for _, tt := range []struct {
		name  string
		begin string // who sends it: verified, manager, blocked, and combinations
		send  string // CLA INS P1 P2, data
		want  apdu.SW
		pin   int  // tries of the PIN afterwards, of 3
		puk   int  // tries of the PUK afterwards
		still bool // the PIN is verified afterwards
	}{
		// 3.2.1 VERIFY. Data that is no PIN at all may be counted or refused: what
		// has eight bytes is counted, as ykman's reset relies on.
		{"VERIFY all FF", "", "002000 80" + none, 0x63C2, 2, 3, false},
		{"VERIFY all FF when verified", "verified", "002000 80" + none, 0x63C2, 2, 3, false},
		{"VERIFY seven bytes when verified", "verified", "00200080" + pin[:15], data, 3, 3, true},
		{"VERIFY status", "verified", "00200080", ok, 3, 3, true},
		{"VERIFY status when blocked", "blocked", "00200080", blocked, 0, 0, false},
		{"VERIFY nonsense when blocked", "blocked", "0020008001", blocked, 0, 0, false},
		{"VERIFY reset when blocked", "blocked", "0020FF80", ok, 0, 0, false},

		// 3.2.2 CHANGE REFERENCE DATA. The old value is compared and counted before
		// the new one is looked at; 6A80 leaves status and tries.
		{"CHANGE wrong and bad", "", "00240080" + wrong + bad, 0x63C2, 2, 3, false},
		{"CHANGE all FF", "verified", "00240080" + none + none, 0x63C2, 2, 3, false},
		{"CHANGE wrong", "verified", "00240080" + wrong + pin, 0x63C2, 2, 3, false},
		{"CHANGE right to bad", "verified", "00240080" + pin + bad, data, 3, 3, true},
		{"CHANGE right to bad, not verified", "", "00240080" + pin + bad, data, 3, 3, false},
		{"CHANGE right to a gap", "", "00240080" + pin + "3132FF3435363738", data, 3, 3, false},
		{"CHANGE half", "verified", "00240080" + pin, data, 3, 3, true},
		{"CHANGE right", "", "00240080" + pin + pin, ok, 3, 3, true},
		{"CHANGE PUK wrong and bad", "verified", "00240081" + none + none, 0x63C2, 3, 2, true},
		{"CHANGE PUK right to bad", "verified", "00240081" + puk + bad, data, 3, 3, true},
		{"CHANGE PUK right", "verified", "00240081" + puk + puk, ok, 3, 3, true},
		{"CHANGE nonsense when blocked", "blocked", "0024008101", blocked, 0, 0, false},

		// 3.2.3 RESET RETRY COUNTER, the same of the PUK.
		{"RESET RETRY all FF", "verified", "002C0080" + none + none, 0x63C2, 3, 2, false},
		{"RESET RETRY wrong and bad", "", "002C0080" + wrong + bad, 0x63C2, 3, 2, false},
		{"RESET RETRY right to bad", "verified", "002C0080" + puk + bad, data, 3, 3, true},
		{"RESET RETRY right", "verified", "002C0080" + puk + pin, ok, 3, 3, true},
		{"RESET RETRY right, not verified", "", "002C0080" + puk + pin, ok, 3, 3, false},
		{"RESET RETRY when blocked", "blocked", "002C0080" + puk + pin, blocked, 0, 0, false},

		// 3.2.4 GENERAL AUTHENTICATE: reference, key, algorithm, PIN, template.
		{"AUTHENTICATE no slot", "verified", "00871100", apdu.SWIncorrectP1P2, 3, 3, true},
		{"AUTHENTICATE empty slot", "", "0087119D" + digest, apdu.SWReferencedDataNotFound, 3, 3, false},
		{"AUTHENTICATE other algorithm without PIN", "", "0087079C" + digest, apdu.SWIncorrectP1P2, 3, 3, false},
		{"AUTHENTICATE nonsense without PIN", "", "0087119C01", denied, 3, 3, false},
		{"AUTHENTICATE nonsense", "verified", "0087119C01", data, 3, 3, true},
		{"AUTHENTICATE", "verified", "0087119C" + digest, ok, 3, 3, true},
		{"AUTHENTICATE by the manager without PIN", "manager", "0087119C" + digest, denied, 3, 3, false},
		{"AUTHENTICATE card authentication", "", "0087119E" + digest, ok, 3, 3, false},

		// 3.1.2 GET DATA: who may not read does not learn what there is.
		{"GET DATA printed information, absent", "", "00CB3FFF 5C035FC109", denied, 3, 3, false},
		{"GET DATA printed information, absent, verified", "verified", "00CB3FFF 5C035FC109", apdu.SWFileNotFound, 3, 3, true},
		{"GET DATA certificate, absent", "", "00CB3FFF 5C035FC105", apdu.SWFileNotFound, 3, 3, false},
		{"GET DATA nonsense", "", "00CB3FFF 01", data, 3, 3, false},

		// 3.3.1 PUT DATA and 3.3.2 GENERATE, and the extensions of the manager's:
		// parameters, then who it is, then what.
		{"PUT DATA nonsense by anybody", "verified", "00DB3FFF 01", denied, 3, 3, true},
		{"PUT DATA P1 by anybody", "verified", "00DB0000 01", apdu.SWIncorrectP1P2, 3, 3, true},
		{"GENERATE nonsense by anybody", "verified", "0047009A 01", denied, 3, 3, true},
		{"GENERATE nonsense", "manager", "0047009A 01", data, 3, 3, false},
		{"GENERATE RSA 1024", "manager", "0047009A AC03800106", data, 3, 3, false},
		{"IMPORT nonsense by anybody", "verified", "00FE119A 01", denied, 3, 3, true},
		{"IMPORT nonsense", "manager", "00FE119A 01", data, 3, 3, false},
		{"SET MANAGEMENT KEY nonsense by anybody", "verified", "00FFFFFF 01", denied, 3, 3, true},
		{"MOVE KEY to a taken slot", "manager", "00F69C9E", apdu.SWConditionsNotSatisfied, 3, 3, false},
		{"MOVE KEY of no key", "manager", "00F69D9A", apdu.SWReferencedDataNotFound, 3, 3, false},
		{"SET PIN RETRIES by the manager", "manager", "00FA0303", denied, 3, 3, false},
		{"SET PIN RETRIES by the holder", "verified", "00FA0303", denied, 3, 3, true},
		{"ATTEST of no key", "", "00F99D00", data, 3, 3, false},
		{"ATTEST of an imported key", "", "00F98200", data, 3, 3, false},
		{"METADATA of no key", "", "00F7009D", apdu.SWReferencedDataNotFound, 3, 3, false},
		{"RESET with tries left", "verified manager", "00FB0000", apdu.SWConditionsNotSatisfied, 3, 3, true},
		{"RESET", "blocked", "00FB0000", ok, 3, 3, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := orderClient(t, tt.begin)
			b := unhex(tt.send)
			if r := c.s.Process(apdu.Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3], Data: b[4:]}); r.SW != tt.want {
				t.Errorf("got %v, want %v", r.SW, tt.want)
			}
			st := &c.card.app.state
			if int(st.pin.left) != tt.pin || int(st.puk.left) != tt.puk {
				t.Errorf("%d tries of the PIN and %d of the PUK are left, want %d and %d", st.pin.left, st.puk.left, tt.pin, tt.puk)
			}
			if kept := c.card.last(t); kept.pin.left != st.pin.left || kept.puk.left != st.puk.left {
				t.Errorf("%d and %d tries are kept", kept.pin.left, kept.puk.left)
			}
			if got := c.send(0x20, 0, 0x80).SW == ok; got != tt.still {
				t.Errorf("PIN verified: %v, want %v", got, tt.still)
			}
		})
	}
}

// orderClient has P-256 keys in 9C, which asks for the PIN each time, and 9E,
// which never does, and an imported one in 82.
func orderClient(t *testing.T, begin string) *client {
	c := newClient(t)
	c.authenticate()
	c.generate(slotCardAuthentication, algP256)
	c.ok(0x47, 0, 0x9C, unhex("AC03800111"))
	c.ok(0xFE, 0x11, 0x82, unhex("06 20 0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20"))
	if !strings.Contains(begin, "manager") {
		c = c.another()
	}
	if strings.Contains(begin, "verified") {
		c.verify("123456")
	}
	if strings.Contains(begin, "blocked") {
		for range 3 {
			c.verify("000000")
			c.send(0x2C, 0, 0x80, pad(""), pad(""))
		}
	}
	return c
}

// SELECT of the selected application changes nothing (3.1.1).
func TestSelectAgain(t *testing.T) {
	c := newClient(t)
	c.authenticate()
	c.verify("123456")
	fci, err := c.s.(*selection).Reselect()
	if err != nil || len(fci) == 0 {
		t.Fatal(fci, err)
	}
	c.ok(0x20, 0, 0x80)
	c.ok(0x47, 0, 0x9A, unhex("AC03800111"))
}
