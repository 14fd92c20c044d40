package wifi

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// describe makes steps readable: frames by their message, keys by their index
// and first byte.
func describe(steps []step) string {
	var all []string
	for _, s := range steps {
		switch {
		case s.install != nil && s.install.pairwise:
			all = append(all, "PTK")
		case s.install != nil:
			all = append(all, fmt.Sprintf("GTK%d:%02x", s.install.index, s.install.key[0]))
		default:
			f, err := parseKeyFrame(s.send)
			switch {
			case err != nil:
				all = append(all, err.Error())
			case f.info == versionAES|infoPairwise|infoMIC:
				all = append(all, "M2")
			case f.info == versionAES|infoPairwise|infoMIC|infoSecure:
				all = append(all, "M4")
			case f.info == versionAES|infoMIC|infoSecure:
				all = append(all, "G2")
			default:
				all = append(all, fmt.Sprintf("%04X", uint16(f.info)))
			}
		}
	}
	return strings.Join(all, " ")
}

// give hands a frame over and compares what is to be done. wantErr nil is none.
func give(t *testing.T, s *supplicant, frame []byte, want string, wantErr error) []step {
	t.Helper()
	before := bytes.Clone(frame)
	steps, err := s.handle(frame)
	if got := describe(steps); got != want || !errors.Is(err, wantErr) {
		t.Errorf("got %q, %v; want %q, %v", got, err, want, wantErr)
	}
	if !bytes.Equal(before, frame) {
		t.Error("the frame was changed")
	}
	return steps
}

// shake goes through the whole handshake.
func shake(t *testing.T, a *authenticator, s *supplicant) {
	t.Helper()
	steps := give(t, s, a.bytes(a.first()), "M2", nil)
	if len(steps) == 0 {
		t.FailNow()
	}
	a.second(steps[0].send)
	give(t, s, a.bytes(a.third()), fmt.Sprintf("M4 PTK GTK%d:%02x", a.index, a.gtk[0]), nil)
}

func TestHandshake(t *testing.T) {
	a, s := newPair(t)
	if s.joined() {
		t.Error("joined before there was a key")
	}
	a.second(give(t, s, a.bytes(a.first()), "M2", nil)[0].send)
	if s.joined() {
		t.Error("joined without message 3")
	}
	steps := give(t, s, a.bytes(a.third()), "M4 PTK GTK1:61", nil)
	if !s.joined() {
		t.Error("not joined")
	}
	fourth, err := parseKeyFrame(steps[0].send)
	if err != nil || fourth.counter != a.counter || !a.key.confirms(fourth) || len(fourth.data) != 0 {
		t.Errorf("message 4: %+v, %v", fourth, err)
	}
	if k := steps[1].install; !bytes.Equal(k.key, a.key.tk[:]) || k.index != 0 || k.seq != [6]byte{} {
		t.Errorf("pairwise key: %+v", k)
	}
	if k := steps[2].install; !bytes.Equal(k.key, a.gtk[:]) || k.seq != [6]byte{7, 6, 5, 4, 3, 2} {
		t.Errorf("group key: %+v", k)
	}
}

// What is repeated is answered and installs nothing: to install a key again
// begins its packet numbers again (KRACK).
func TestRetransmissions(t *testing.T) {
	a, s := newPair(t)
	first := give(t, s, a.bytes(a.first()), "M2", nil)
	second := give(t, s, a.bytes(a.first()), "M2", nil)
	one, err := parseKeyFrame(first[0].send)
	two, err2 := parseKeyFrame(second[0].send)
	if err != nil || err2 != nil || one.nonce != two.nonce || one.counter+1 != two.counter {
		t.Errorf("message 2: %+v, then %+v", one, two)
	}
	if s.answered != 2 {
		t.Errorf("%d first messages are counted, want 2", s.answered)
	}
	a.second(second[0].send)
	third := a.bytes(a.third())
	give(t, s, third, "M4 PTK GTK1:61", nil)
	give(t, s, third, "", errDropped) // the very same frame
	give(t, s, a.bytes(a.third()), "M4", nil)
	a.gtk, a.index = [16]byte{0x62}, 2 // changed while message 4 was lost
	give(t, s, a.bytes(a.third()), "M4 GTK2:62", nil)
	give(t, s, a.bytes(a.groupFirst()), "G2", nil)
	give(t, s, a.bytes(a.third()), "M4", nil)
}

// Message 1 has no integrity code: one that somebody else has sent must not
// keep the access point's message 3 from being taken.
func TestForgedFirstMessageAfterwards(t *testing.T) {
	a, s := newPair(t)
	shake(t, a, s)
	forged := a.first()
	forged.counter, forged.nonce = 1<<60, nonce{0xEE}
	give(t, s, a.bytes(forged), "M2", nil)
	give(t, s, a.bytes(a.third()), "M4", nil)
	give(t, s, a.bytes(a.groupFirst()), "G2", nil)
}

func TestRekeying(t *testing.T) {
	a, s := newPair(t)
	shake(t, a, s)
	a.gtk, a.index = [16]byte{0x62}, 2
	g2 := give(t, s, a.bytes(a.groupFirst()), "GTK2:62 G2", nil)
	f, err := parseKeyFrame(g2[1].send)
	if err != nil || f.counter != a.counter || !a.key.confirms(f) {
		t.Errorf("group message 2: %+v, %v", f, err)
	}
	give(t, s, a.bytes(a.groupFirst()), "G2", nil)

	old := *a.key
	a.anonce = nonce{0xA1}
	a.second(give(t, s, a.bytes(a.first()), "M2", nil)[0].send)
	give(t, s, (*authenticator).bytes(&authenticator{key: &old}, groupOf(a, &old)), "G2", nil) // the old key still holds
	give(t, s, a.bytes(a.third()), "M4 PTK", nil)
	if a.key.tk == old.tk {
		t.Error("the pairwise key is the same as before")
	}
	give(t, s, (*authenticator).bytes(&authenticator{key: &old}, groupOf(a, &old)), "", errDropped)
	a.gtk, a.index = [16]byte{0x63}, 1
	give(t, s, a.bytes(a.groupFirst()), "GTK1:63 G2", nil)
}

// groupOf is message 1 of the group key handshake under another key.
func groupOf(a *authenticator, k *ptk) keyFrame {
	now := a.key
	defer func() { a.key = now }()
	a.key = k
	return a.groupFirst()
}

// TestRefusals changes one thing of a message 3 that would be taken, or of a
// group message 1 behind it.
func TestRefusals(t *testing.T) {
	otherRSN := ownRSN()
	none := func(*keyFrame) {}
	for _, tt := range []struct {
		name   string
		frame  func(a *authenticator) keyFrame
		change func(f *keyFrame)
		raw    func(b []byte) []byte
		want   error
	}{
		{"wrong code", (*authenticator).third, none, func(b []byte) []byte { b[micAt] ^= 1; return b }, errDropped},
		{"changed data", (*authenticator).third, none, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, errDropped},
		{"replayed counter", (*authenticator).third, func(f *keyFrame) { f.counter = 0 }, nil, nil}, // nothing was confirmed before
		{"another nonce", (*authenticator).third, func(f *keyFrame) { f.nonce[31]++ }, nil, errDropped},
		{"TKIP's descriptor", (*authenticator).third, func(f *keyFrame) { f.info = f.info&^infoVersion | 1 }, nil, errDropped},
		{"AKM's descriptor", (*authenticator).third, func(f *keyFrame) { f.info &^= infoVersion }, nil, errDropped},
		{"TKIP's key length", (*authenticator).third, func(f *keyFrame) { f.keyLength = 32 }, nil, errDropped},
		{"not encrypted", (*authenticator).third, func(f *keyFrame) { f.info &^= infoEncrypted }, nil, errDropped},
		{"not secure", (*authenticator).third, func(f *keyFrame) { f.info &^= infoSecure }, nil, errDropped},
		{"no install", (*authenticator).third, func(f *keyFrame) { f.info &^= infoInstall }, nil, errDropped},
		{"from a station", (*authenticator).third, func(f *keyFrame) { f.info &^= infoAck }, nil, errDropped},
		{"request", (*authenticator).third, func(f *keyFrame) { f.info |= infoRequest }, nil, errDropped},
		{"error", (*authenticator).third, func(f *keyFrame) { f.info |= infoError }, nil, errDropped},
		{"SMK", (*authenticator).third, func(f *keyFrame) { f.info |= infoSMK }, nil, errDropped},
		{"data in plain", func(a *authenticator) keyFrame {
			f := a.third()
			f.data = join(a.rsn, a.gtkKDE())
			return f
		}, none, nil, errKeyData},
		{"no data", (*authenticator).third, func(f *keyFrame) { f.data = nil }, nil, errKeyData},
		{"another RSN element", func(a *authenticator) keyFrame { return a.thirdWith(join(otherRSN, a.gtkKDE())) }, none, nil, ErrRefused},
		{"no RSN element", func(a *authenticator) keyFrame { return a.thirdWith(a.gtkKDE()) }, none, nil, ErrRefused},
		{"another RSNX element", func(a *authenticator) keyFrame {
			return a.thirdWith(join(a.rsn, []byte{elementRSNX, 1, 0x20}, a.gtkKDE()))
		}, none, nil, ErrRefused},
		{"RSN element twice", func(a *authenticator) keyFrame { return a.thirdWith(join(a.rsn, a.gtkKDE(), a.rsn)) }, none, nil, errKeyData},
		{"no group key", func(a *authenticator) keyFrame { return a.thirdWith(a.rsn) }, none, nil, errKeyData},
		{"group key twice", func(a *authenticator) keyFrame { return a.thirdWith(join(a.rsn, a.gtkKDE(), a.gtkKDE())) }, none, nil, errKeyData},
		{"group key of TKIP", func(a *authenticator) keyFrame {
			kde := append(a.gtkKDE(), make([]byte, 16)...)
			kde[1] += 16
			return a.thirdWith(join(a.rsn, kde))
		}, none, nil, errKeyData},
		{"group key beyond the data", func(a *authenticator) keyFrame {
			kde := a.gtkKDE()
			kde[1] = 200
			return a.thirdWith(join(a.rsn, kde))
		}, none, nil, errKeyData},
		{"length beyond the frame", (*authenticator).third, none, func(b []byte) []byte { b[2]++; return b }, errDropped},
		{"key data beyond the frame", (*authenticator).third, none, func(b []byte) []byte { b[keyFrameMin-2] = 0xFF; return b }, errDropped},
		{"no key frame", (*authenticator).third, none, func(b []byte) []byte { b[1] = 0; return b }, errDropped},
		{"WPA's first version", (*authenticator).third, none, func(b []byte) []byte { b[4] = 254; return b }, errDropped},
		{"empty", (*authenticator).third, none, func([]byte) []byte { return nil }, errDropped},
		{"short", (*authenticator).third, none, func(b []byte) []byte { return b[:keyFrameMin-1] }, errDropped},
		{"oversize", (*authenticator).third, none, func(b []byte) []byte { return append(b, make([]byte, maxFrame)...) }, errDropped},
		{"group message without keys", (*authenticator).groupFirst, none, nil, errDropped},
		{"group message in plain", (*authenticator).groupFirst, func(f *keyFrame) { f.info &^= infoMIC }, nil, errDropped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, s := newPair(t)
			a.second(give(t, s, a.bytes(a.first()), "M2", nil)[0].send)
			f := tt.frame(a)
			tt.change(&f)
			b := a.bytes(f)
			if tt.raw != nil {
				b = tt.raw(b)
			}
			want := ""
			if tt.want == nil {
				want = "M4 PTK GTK1:61"
			}
			give(t, s, b, want, tt.want)
			if s.joined() != (tt.want == nil) {
				t.Errorf("joined is %v", s.joined())
			}
		})
	}
}

func TestGroupRefusals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(f *keyFrame)
		raw    func(b []byte)
		want   error
	}{
		{"wrong code", nil, func(b []byte) { b[micAt+15] ^= 0x80 }, errDropped},
		{"replayed counter", func(f *keyFrame) { f.counter -= 1 }, nil, errDropped},
		{"not encrypted", func(f *keyFrame) { f.info &^= infoEncrypted }, nil, errDropped},
		{"not secure", func(f *keyFrame) { f.info &^= infoSecure }, nil, errDropped},
		{"no data", func(f *keyFrame) { f.data = nil }, nil, errKeyData},
		{"data of another key", func(f *keyFrame) { f.data[0] ^= 1 }, nil, errKeyData},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, s := newPair(t)
			shake(t, a, s)
			a.gtk = [16]byte{0x66}
			f := a.groupFirst()
			if tt.change != nil {
				tt.change(&f)
			}
			b := a.bytes(f)
			if tt.raw != nil {
				tt.raw(b)
			}
			give(t, s, b, "", tt.want)
		})
	}
}

// Padding behind the frame comes from Ethernet, and is no part of it.
func TestTrailingBytes(t *testing.T) {
	a, s := newPair(t)
	give(t, s, append(a.bytes(a.first()), 0, 0, 0), "M2", nil)
}

// TestRecorded plays a session that other programs had, as Intel's iwd has it
// among its tests: the box must send the very same frames.
func TestRecorded(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "session.txt"))
	if err != nil {
		t.Fatal(err)
	}
	frames := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		if name, digits, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
			frames[name] = append(frames[name], unhex(t, digits)...)
		}
	}
	pmk, err := PSK("TestWPA", "EasilyGuessedPassword")
	if err != nil {
		t.Fatal(err)
	}
	second, err := parseKeyFrame(frames["M2"])
	if err != nil {
		t.Fatal(err)
	}
	ap := &bss{address: address{2}, rsn: frames["RSN"]}
	s := newSupplicant(pmk, ap, address{2, 0, 0, 0, 1, 0}, second.data)
	s.random = func(n *nonce) { *n = second.nonce }
	for _, tt := range []struct{ in, out, want string }{
		{"M1", "M2", "M2"}, {"M3", "M4", "M4 PTK GTK1:9a"}, {"G1", "G2", "GTK2:"},
	} {
		steps, err := s.handle(frames[tt.in])
		if err != nil || len(steps) == 0 {
			t.Fatalf("%s: %v", tt.in, err)
		}
		if got := describe(steps); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.want)
		}
		i := slices.IndexFunc(steps, func(s step) bool { return s.send != nil })
		if got := steps[i].send; !bytes.Equal(got, frames[tt.out]) {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.out, hex.EncodeToString(got), hex.EncodeToString(frames[tt.out]))
		}
	}
}

// FuzzSupplicant gives it frames of any kind in any state. A frame of the
// access point that was changed must never install a key, and nothing may make
// it panic.
func FuzzSupplicant(f *testing.F) {
	a, _ := newPair(f)
	a.key = &ptk{}
	f.Add(byte(0), a.bytes(a.first()))
	f.Add(byte(1), a.bytes(a.third()))
	f.Add(byte(2), a.bytes(a.groupFirst()))
	f.Fuzz(func(t *testing.T, state byte, frame []byte) {
		a, s := newPair(t)
		if state%3 > 0 {
			steps, err := s.handle(a.bytes(a.first()))
			if err != nil {
				t.Fatal(err)
			}
			a.second(steps[0].send)
		}
		if state%3 > 1 {
			if _, err := s.handle(a.bytes(a.third())); err != nil {
				t.Fatal(err)
			}
		}
		counter := s.counter
		steps, err := s.handle(frame)
		for _, st := range steps {
			if st.install != nil {
				t.Fatalf("%x installs a key", frame)
			}
		}
		if s.counter != counter {
			t.Fatalf("%x, which nobody has confirmed, changes the replay counter", frame)
		}
		if err == nil && describe(steps) != "M2" && len(frame) > 0 {
			if p, perr := parseKeyFrame(frame); perr != nil || p.info&infoMIC != 0 {
				t.Fatalf("%x is answered by %s", frame, describe(steps))
			}
		}
	})
}

// FuzzKeyData decrypts nothing: it takes apart what an access point that has the
// key may have sent.
func FuzzKeyData(f *testing.F) {
	a, _ := newPair(f)
	f.Add(join(a.rsn, a.gtkKDE()))
	f.Add([]byte{elementVendor, 0, 0})
	f.Fuzz(func(t *testing.T, plain []byte) {
		if len(plain) > 1024 {
			return
		}
		a, s := newPair(t)
		steps, err := s.handle(a.bytes(a.first()))
		if err != nil {
			t.Fatal(err)
		}
		a.second(steps[0].send)
		steps, err = s.handle(a.bytes(a.thirdWith(plain)))
		if err == nil && len(steps) != 3 || err != nil && len(steps) != 0 {
			t.Fatalf("%x: %d steps, %v", plain, len(steps), err)
		}
		if err == nil && !bytes.Contains(plain, a.rsn) {
			t.Fatalf("%x is taken without the beacon's element", plain)
		}
	})
}
