package openpgp

import (
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// TestCommands is clause 7.2, command by command: what each answers to whom,
// which of the things that are wrong is told, and what it leaves of the tries
// (PW1, resetting code, PW3).
func TestCommands(t *testing.T) {
	const (
		user, boss  = "313233343536", "3132333435363738"
		wrong, bad  = "303030303030", "31"
		code        = "7265736574636F6465" // the resetting code, where "code" is begun with
		none, wrg   = apdu.SWReferencedDataNotFound, apdu.SWWrongData
		p1p2, clash = apdu.SWIncorrectP1P2, apdu.SWWrongLength
	)
	for _, tt := range []struct {
		name, begin string // sign, use, admin; code; blocked; keys
		send        string
		want        apdu.SW
		tries       string
	}{
		{"class", "", "80CA004F", apdu.SWClass, "303"},
		{"secure messaging", "", "0CCA004F", apdu.SWSecureMessaging, "303"},
		{"instruction", "", "00B00000", apdu.SWInstruction, "303"},

		{"VERIFY", "", "00200081" + user, ok, "303"},
		{"VERIFY wrong", "sign", "00200081" + wrong, 0x63C2, "203"},
		{"VERIFY of another length", "", "00200082" + bad, 0x63C2, "203"},
		{"VERIFY PW3", "", "00200083" + boss, ok, "303"},
		{"VERIFY PW3 wrong", "", "00200083" + user, 0x63C2, "302"},
		{"VERIFY status", "", "00200082", 0x63C3, "303"},
		{"VERIFY status when verified", "use", "00200082", ok, "303"},
		{"VERIFY status of the other use", "use", "00200081", 0x63C3, "303"},
		{"VERIFY status when blocked", "blocked", "00200083", blocked, "000"},
		{"VERIFY when blocked", "blocked", "00200081" + user, blocked, "000"},
		{"VERIFY reset", "use", "0020FF82", ok, "303"},
		{"VERIFY reset with data", "use", "0020FF82" + user, wrg, "303"},
		{"VERIFY P1", "", "00200181", p1p2, "303"},
		{"VERIFY P2", "", "00200080", p1p2, "303"},

		{"CHANGE", "", "00240081" + user + wrong, ok, "303"},
		{"CHANGE wrong", "", "00240081" + wrong + user, 0x63C2, "203"},
		{"CHANGE wrong to bad", "", "00240081" + wrong + bad, 0x63C2, "203"},
		{"CHANGE to bad", "", "00240081" + user + bad, wrg, "303"},
		{"CHANGE to nothing", "", "00240081" + user, wrg, "303"},
		{"CHANGE to too much", "", "00240081" + user + strings.Repeat("31", 128), wrg, "303"},
		{"CHANGE nothing", "", "00240081", 0x63C2, "203"},
		{"CHANGE PW3", "", "00240083" + boss + boss, ok, "303"},
		{"CHANGE PW3 to seven", "", "00240083" + boss + boss[2:], wrg, "303"},
		{"CHANGE when blocked", "blocked", "00240083" + bad, blocked, "000"},
		{"CHANGE P2", "", "00240082" + user + user, p1p2, "303"},

		{"RESET RETRY by PW3", "admin", "002C0281" + wrong, ok, "303"},
		{"RESET RETRY by PW3, not shown", "sign use", "002C0281" + wrong, denied, "303"},
		{"RESET RETRY by PW3 to bad", "admin", "002C0281" + bad, wrg, "303"},
		{"RESET RETRY without a code", "", "002C0081" + user + user, blocked, "303"},
		{"RESET RETRY by the code", "code", "002C0081" + code + wrong, ok, "333"},
		{"RESET RETRY by a wrong code", "code", "002C0081" + boss + "39" + wrong, 0x63C2, "323"},
		{"RESET RETRY by the code to bad", "code", "002C0081" + code + bad, wrg, "333"},
		{"RESET RETRY P2", "admin", "002C0283" + boss, p1p2, "303"},
		{"RESET RETRY P1", "admin", "002C0181" + user, p1p2, "303"},

		{"SELECT DATA", "", "00A50104 60045C027F21", ok, "303"},
		{"SELECT DATA of a fourth", "", "00A50304 60045C027F21", none, "303"},
		{"SELECT DATA of another", "", "00A50004 60045C027F22", wrg, "303"},
		{"SELECT DATA P2", "", "00A50000 60045C027F21", p1p2, "303"},
		{"GET DATA", "", "00CA005E", ok, "303"},
		{"GET DATA with data", "", "00CA005E 00", clash, "303"},
		{"GET DATA of none", "", "00CA1234", none, "303"},
		{"GET DATA of what is never read", "sign use admin", "00CA00D5", none, "303"},
		{"GET DATA private 1", "", "00CA0101", ok, "303"},
		{"GET DATA private 3", "sign", "00CA0103", denied, "303"},
		{"GET DATA private 3 by PW1", "use", "00CA0103", ok, "303"},
		{"GET DATA private 4 by PW1", "sign use", "00CA0104", denied, "303"},
		{"GET DATA private 4 by PW3", "admin", "00CA0104", ok, "303"},
		{"GET NEXT DATA", "", "00CC7F21", ok, "303"},
		{"GET NEXT DATA of another", "", "00CC005E", none, "303"},

		{"PUT DATA", "admin", "00DA005E 6A6F", ok, "303"},
		{"PUT DATA not shown", "sign use", "00DA005E 6A6F", denied, "303"},
		{"PUT DATA of none, not shown", "", "00DA1234 00", none, "303"},
		{"PUT DATA too long", "admin", "00DA005B" + strings.Repeat("41", 40), wrg, "303"},
		{"PUT DATA private 1 by PW1", "use", "00DA0101 01", ok, "303"},
		{"PUT DATA private 1 by PW3", "admin", "00DA0101 01", denied, "303"},
		{"PUT DATA private 2 by PW1", "use", "00DA0102 01", denied, "303"},
		{"PUT DATA sex", "admin", "00DA5F35 33", wrg, "303"},
		{"PUT DATA fingerprint", "admin", "00DA00C7 01", wrg, "303"},
		{"PUT DATA resetting code", "admin", "00DA00D3" + boss, ok, "333"},
		{"PUT DATA resetting code too short", "admin", "00DA00D3" + user, wrg, "303"},
		{"PUT DATA no resetting code", "admin code", "00DA00D3", ok, "303"},
		{"PUT DATA C4", "admin", "00DA00C4 02", wrg, "303"},
		{"PUT DATA RSA 1024", "admin", "00DA00C1 010400002000", wrg, "303"},
		{"PUT DATA ECDH to sign", "admin", "00DA00C1 122A8648CE3D030107", wrg, "303"},
		{"PUT DATA ECDSA to decrypt", "admin", "00DA00C2 132A8648CE3D030107", wrg, "303"},
		{"PUT DATA another curve", "admin", "00DA00C1 132B8104000A", wrg, "303"},
		{"PUT DATA nothing as an algorithm", "admin", "00DA00C1", wrg, "303"},
		{"PUT DATA KDF without hashes", "admin", "00DA00F9 810103", wrg, "303"},
		{"PUT DATA no KDF", "admin", "00DA00F9 810100", ok, "303"},
		{"PUT DATA AES-192", "admin", "00DA00D5" + strings.Repeat("00", 24), wrg, "303"},

		{"GENERATE not shown", "sign use", "00478000 B600", denied, "303"},
		{"GENERATE nonsense, not shown", "sign use", "00478000 01", denied, "303"},
		{"GENERATE nonsense", "admin", "00478000 01", wrg, "303"},
		{"GENERATE P1", "admin", "00478200 B600", p1p2, "303"},
		{"GENERATE another number", "admin", "00478000 B603840102", wrg, "303"},
		{"read a key that is not there", "", "00478100 B600", none, "303"},
		{"read a key", "keys", "00478100 B603840101", ok, "303"},
		{"IMPORT not shown", "sign use", "00DB3FFF 01", denied, "303"},
		{"IMPORT nonsense", "admin", "00DB3FFF 01", wrg, "303"},
		{"IMPORT P1", "admin", "00DB3F00 01", p1p2, "303"},

		{"SIGN not shown", "use admin keys", "002A9E9A" + wrong, denied, "303"},
		{"SIGN without a key", "sign", "002A9E9A" + wrong, none, "303"},
		{"SIGN", "sign keys", "002A9E9A" + wrong, ok, "303"},
		{"SIGN nothing", "sign keys", "002A9E9A", wrg, "303"},
		{"SIGN too much", "sign keys", "002A9E9A" + strings.Repeat("00", 65), wrg, "303"},
		{"DECIPHER not shown", "sign admin keys", "002A8086" + wrong, denied, "303"},
		{"DECIPHER without a key", "use", "002A8086" + wrong, none, "303"},
		{"DECIPHER nothing", "use keys", "002A8086", wrg, "303"},
		{"DECIPHER nonsense", "use keys", "002A8086 A605", wrg, "303"},
		{"DECIPHER by AES without a key", "use keys", "002A8086 02" + strings.Repeat("00", 16), none, "303"},
		{"ENCIPHER not shown", "sign admin", "002A8680" + strings.Repeat("00", 16), denied, "303"},
		{"ENCIPHER without a key", "use", "002A8680" + strings.Repeat("00", 16), none, "303"},
		{"PSO P1", "sign use", "002A8000", p1p2, "303"},
		{"AUTHENTICATE not shown", "sign admin keys", "00880000" + wrong, denied, "303"},
		{"AUTHENTICATE without a key", "use", "00880000" + wrong, none, "303"},
		{"AUTHENTICATE", "use keys", "00880000" + wrong, ok, "303"},
		{"AUTHENTICATE P2", "use keys", "00880001" + wrong, p1p2, "303"},
		{"MSE", "", "002241B8 830103", ok, "303"},
		{"MSE key 1", "", "002241B8 830101", wrg, "303"},
		{"MSE P2", "", "002241B6 830102", p1p2, "303"},
		{"GET CHALLENGE", "", "00840000", ok, "303"},
		{"GET CHALLENGE P2", "", "00840001", p1p2, "303"},

		{"SET PIN RETRIES", "admin", "00F20000 050607", ok, "507"},
		{"SET PIN RETRIES not shown", "use", "00F20000 050607", denied, "303"},
		{"SET PIN RETRIES none", "admin", "00F20000 050600", wrg, "303"},
		{"SET PIN RETRIES of two", "admin", "00F20000 0506", clash, "303"},
		{"GET VERSION", "", "00F10000", ok, "303"},
		{"ACTIVATE", "", "00440000", ok, "303"},
		{"TERMINATE not shown", "sign use", "00E60000", denied, "303"},
		{"TERMINATE P1", "admin", "00E60100", p1p2, "303"},
		{"TERMINATE by PW3", "admin", "00E60000", ok, "303"},
		{"TERMINATE when blocked", "blocked", "00E60000", ok, "303"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := begin(t, tt.begin)
			if r := c.send(tt.send); r.SW != tt.want || r.SW != ok && len(r.Data) != 0 {
				t.Errorf("got %v with %d bytes, want %v", r.SW, len(r.Data), tt.want)
			}
			got := ""
			for _, p := range c.card.app.state.passwords {
				got += string('0' + p.left)
			}
			if got != tt.tries {
				t.Errorf("tries %s are left, want %s", got, tt.tries)
			}
			if kept := c.reload().card.app.state.passwords; kept[pw1].left != tt.tries[0]-'0' || kept[resetCode].left != tt.tries[1]-'0' || kept[pw3].left != tt.tries[2]-'0' {
				t.Errorf("tries %v are kept", kept)
			}
		})
	}
}

// begin is a client in a security state.
func begin(t *testing.T, words string) *client {
	c := newClient(t)
	c.ok("00200083 3132333435363738")
	if strings.Contains(words, "keys") {
		for _, put := range []string{"00DA00C1 132A8648CE3D030107", "00DA00C2 122B060104019755010501", "00DA00C3 162B06010401DA470F01"} {
			c.ok(put)
		}
		for _, generate := range []string{"00478000 B600", "00478000 B800", "00478000 A400"} {
			c.ok(generate)
		}
	}
	if strings.Contains(words, "code") {
		c.ok("00DA00D3 7265736574636F6465")
	}
	if !strings.Contains(words, "admin") {
		c = c.another()
	}
	if strings.Contains(words, "sign") {
		c.ok("00200081 313233343536")
	}
	if strings.Contains(words, "use") {
		c.ok("00200082 313233343536")
	}
	if strings.Contains(words, "blocked") {
		for range 3 {
			c.send("00200081 00")
			c.send("00200083 00")
		}
	}
	return c
}
