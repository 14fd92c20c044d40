package scp03

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 4493, section 4 (AES-128), and NIST SP 800-38B, appendix D.2 and D.3
// (AES-192 and AES-256).
func TestCMAC(t *testing.T) {
	const m = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
	for _, tt := range []struct {
		key  string
		n    int
		want string
	}{
		{"2b7e151628aed2a6abf7158809cf4f3c", 0, "bb1d6929e95937287fa37d129b756746"},
		{"2b7e151628aed2a6abf7158809cf4f3c", 16, "070a16b46b4d4144f79bdd9dd04a287c"},
		{"2b7e151628aed2a6abf7158809cf4f3c", 40, "dfa66747de9ae63030ca32611497c827"},
		{"2b7e151628aed2a6abf7158809cf4f3c", 64, "51f0bebf7e3b9d92fc49741779363cfe"},
		{"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", 0, "d17ddf46adaacde531cac483de7a9367"},
		{"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", 16, "9e99a7bf31e710900662f65e617c5184"},
		{"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", 0, "028962f61b7bf89efc6b551f4667d983"},
		{"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", 16, "28a7023f452e8f82bd4bf28d8c37c35c"},
		{"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", 64, "e1992190549f6ed5696a2c056c315410"},
	} {
		mac, err := newCMAC(unhex(t, tt.key))
		if err != nil {
			t.Fatal(err)
		}
		message := unhex(t, m)[:tt.n]
		for cut := 0; cut <= tt.n; cut++ { // however the message is cut into parts
			if got := mac.sum(message[:cut], message[cut:]); hex.EncodeToString(got[:]) != tt.want {
				t.Errorf("CMAC with %d bit key of %d bytes cut at %d: %x, want %s", 4*len(tt.key), tt.n, cut, got, tt.want)
			}
		}
	}
}

// The order of the parts of the fixed input is that of Amendment D, 4.1.5,
// which differs from the usual one of SP 800-108: label, separator, L, counter,
// context. Keys and cryptograms so derived are in the recorded sessions.
func TestDerive(t *testing.T) {
	key := unhex(t, "000102030405060708090a0b0c0d0e0f")
	m, err := newCMAC(key)
	if err != nil {
		t.Fatal(err)
	}
	one := m.sum(unhex(t, "000000000000000000000004 00 0100 01 aabb"))
	two := m.sum(unhex(t, "000000000000000000000004 00 0100 02 aabb"))
	if got, want := m.derive(deriveENC, 32, []byte{0xAA, 0xBB}), append(one[:], two[:]...); !bytes.Equal(got, want) {
		t.Errorf("derived %x, want %x", got, want)
	}
}

// session is one recorded session of a real card: the vectors of pySim,
// tests/unittests/test_globalplatform.py. The commands come in this order:
// EXTERNAL AUTHENTICATE, STORE DATA (get EID) and its answer, cases 1 to 4.
type session struct {
	keys      int // place in recordedKeys
	host      string
	answer    string // to INITIALIZE UPDATE
	auth, eid string
	eidAnswer string
	cases     [4]string
}

var recordedKeys = [][2]string{
	{"000102030405060708090a0b0c0d0e0f", "101112131415161718191a1b1c1d1e1f"},
	{"000102030405060708090a0b0c0d0e0f0001020304050607", "101112131415161718191a1b1c1d1e1f1011121314151617"},
	{"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f", "101112131415161718191a1b1c1d1e1f101112131415161718191a1b1c1d1e1f"},
}

// recordedAID is the ISD-R that the sessions were with; it is in the
// pseudo-random challenge.
const recordedAID = "A0000005591010FFFFFFFF8900000100"

const plainEID = "bf3e125a1089882119900000000000000000000005"

var recorded = []session{
	{0, "b13e5f938fc108c4", "000000000000000000003003703eb51047495b249f66c484c1d2ef1948000002", "84821100107d5f5826a993ebc89eea24957fa0b3ce", "84e291000ebf3e035c015a558d036518a2829700", plainEID + "971be68992dbbdfa",
		[4]string{"84f220020863a63f8959827fb2", "84ca006608a0c6a4a74166f7ce00", "84f22002124f0212345c054f9f70c52249b50272656536", "84f280020a4f00e91443f6dce6b8ed00"}},
	{0, "8e1552d0513c60f3", "0000000000000000000030037030760cd2c47c1dd395065fe5ead8a9d7000001", "8482030010fd4721a14d9b07003c451d2f8ae6bb21", "84e2910018ca9c00f6713d79bc8baa642bdff51c3f6a4082d3bd9ad26c00", plainEID,
		[4]string{"84f2200208c9811b11f1264cf1", "84ca006608e10ab60b3054798800", "84f22002184e2908bdb48b2315a55482e9e936ca122d6ecfae7d17416e", "84f28002180dd10a6b6193e5340b9e77d32d5a179cd710ac2773aefb2800"}},
	{0, "fdf38259a1e0de44", "000000000000000000003003703b1aca81e821f219081cdc01c26b372d000003", "84823300108c36f96bcc00724a4e13ad591d7da3f0", "84e2910018267a85dfe4a98fca6fb0527e0dfecce4914e40401433c87f00", "f3ba2b1013aa6224f5e1c138d71805c569e5439b47576260b75fc021b25097cb2e68f8a0144975b9",
		[4]string{"84f2200208ac6a59024bed84cc", "84ca006608409912ad8fb7aed000", "84f22002185f3dafc3ac14c381536a488bf44e06d056df9d74dbd21e5a", "84f280021865165105be3373347d0424d4400af2ac393f569ec779389e00"}},
	{1, "7396430b768b085b", "000000000000000000003103708cfc23522ffdbf1e5df5542cac8fd866000003", "84821100102145ed30b146f5db252fb7e624cec244", "84e291000ebf3e035c015aff42cf801d14394400", plainEID + "162fbd33e04940a9",
		[4]string{"84f22002084584e4f6784811ee", "84ca006608937776ebe190fa3000", "84f22002124f0212345c054f9f70c59a52bddf3040368c", "84f280020a4f009804b11411f7393d00"}},
	{1, "69c65da8202bf19f", "00000000000000000000310370b570a67be38446717729d6dd3d2ec5b1000001", "848203001065df4f1a356a887905466516d9e5b7c1", "84e2910018d2c6fb477c5d4afe4fd4d21f17eff10d3578ec1774a12a2d00", plainEID,
		[4]string{"84f2200208964e188f0b1bb697", "84ca006608f0820035a41d3e1800", "84f220021806b076ed452cd1fa84f77f5c08a146aa77a9286757dea791", "84f2800218d06527e39222dce091fabdb8e9b898417a67a6852d3577db00"}},
	{1, "9b3f2eef0e8c9374", "00000000000000000000310370f6bb305a15bae1a68f79fb08212fbed7000002", "84823300109100bc22d58b45b86a26365ce39ff3cf", "84e29100188f7f946c84f70d17994bc6e8791251bb1bb1bf02cf8de58900", "c05176c1b6f72aae50c32cbee63b0e95998928fd4dfb2be9f27ffde8c8476f5909b4805cc4039599",
		[4]string{"84f2200208d5d97754b6b3d2ba", "84ca006608516c82b8e30adbeb00", "84f2200218cc247f4761e6944277a4e0d6e32e44025b1e31537e2fc668", "84f2800218ba22b63d509bef5d093b43e5eaed03ed23144ab2d9cb51de00"}},
	{2, "11666d57866c6f54", "0000000000000000000032037053ea8847efa7674e41498a4d66cf0dee000003", "84821100102f2ad190eff2fafc4908996d1cebd310", "84e291000ebf3e035c015af4b680372542b59d00", plainEID + "8012dd7f01f1c4c1",
		[4]string{"84f2200208d618b7da68d5fe52", "84ca0066088f3e055db23ad5e500", "84f22002124f0212345c054f9f70c5b6e15cc42404915e", "84f280020a4f00aa124aa74afe7f7500"}},
	{2, "c6066990fc426e1d", "000000000000000000003203708682cd81bbd8919f2de3f2664581f118000001", "848203001077c493b632edadaf865a1e64acc07ce9", "84e29100183ddaa60594963befaada3525b492ede23c2ab2c1ce3afe4400", plainEID,
		[4]string{"84f2200208480ddc8e419da38d", "84ca0066083e9d6a6c0b2d732000", "84f22002183ebfef2da8b04af2a85f491f299b76973df76ff08a4031be", "84f2800218783fff80990f5585b1055010ea95094a26e4a8f1ef4b18e100"}},
	{2, "97b2055fe58599fd", "00000000000000000000320370a8439a22cedf045fa9f1903b2834f26e000002", "8482330010508a0fd959d2e547c6b33154a6be2057", "84e29100187a5ef717eaf1e135ae92fe54429d0e465decda65f5fe5aea00", "ea90dbfa648a67c5eb6abc57f8530b97d0cd5647c5e8732016b55203b078dd2ace7f8bc5d1c1cd99",
		[4]string{"84f2200208bcc5c17275545d93", "84ca00660804806aba9d543bb600", "84f2200218717222491556ec81a45f49ce48be33320024801a1c4cb0e0", "84f2800218561f105bccd3a1642904b251ccc1228beb80a82370a8637000"}},
}

func (r session) begin(t testing.TB) *Session {
	t.Helper()
	answer := unhex(t, r.answer)
	keys := Keys{ENC: unhex(t, recordedKeys[r.keys][0]), MAC: unhex(t, recordedKeys[r.keys][1])}
	challenge, err := CardChallenge(keys.ENC, [3]byte(answer[29:]), unhex(t, recordedAID), 8)
	if err != nil || !bytes.Equal(challenge, answer[13:21]) {
		t.Errorf("pseudo-random challenge %x %v, want %x", challenge, err, answer[13:21])
	}
	s, err := Begin(keys, unhex(t, r.host), answer[13:21])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.CardCryptogram(), answer[21:29]) {
		t.Errorf("card cryptogram %x, want %x", s.CardCryptogram(), answer[21:29])
	}
	return s
}

func TestRecordedSessions(t *testing.T) {
	for _, r := range recorded {
		t.Run(r.auth, func(t *testing.T) {
			s := r.begin(t)
			if err := s.Authenticate(command(t, r.auth)); err != nil {
				t.Fatalf("EXTERNAL AUTHENTICATE: %v", err)
			}
			s.expect(t, r.eid, "80e2910006bf3e035c015a00")
			answer := s.Wrap(apdu.Response{Data: unhex(t, plainEID), SW: apdu.SWSuccess})
			if got := hex.EncodeToString(answer.Data); got != r.eidAnswer {
				t.Errorf("response %s, want %s", got, r.eidAnswer)
			}
			for i, plain := range []string{"80f22002", "80ca006600", "80f220020a4f0212345c054f9f70c5", "80f28002024f0000"} {
				s.expect(t, r.cases[i], plain)
			}
		})
	}
}

func command(t testing.TB, s string) apdu.Command {
	t.Helper()
	c, err := apdu.Parse(unhex(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *Session) expect(t *testing.T, wrapped, plain string) {
	t.Helper()
	c, err := s.Unwrap(command(t, wrapped))
	if err != nil {
		t.Fatalf("%s: %v", wrapped, err)
	}
	b, err := c.Bytes()
	if err != nil || hex.EncodeToString(b) != plain {
		t.Errorf("%s is %x %v, want %s", wrapped, b, err, plain)
	}
}

// Every flipped bit of a protected command is found.
func TestTampered(t *testing.T) {
	r := recorded[2]
	for _, which := range []string{r.auth, r.eid} {
		for bit := range 8 * (len(which)/2 - 1) {
			s := r.begin(t)
			if which != r.auth {
				if err := s.Authenticate(command(t, r.auth)); err != nil {
					t.Fatal(err)
				}
			}
			b := unhex(t, which)
			b[bit/8] ^= 0x80 >> (bit % 8)
			c, err := apdu.Parse(b)
			if err != nil || bit/8 == 4 {
				continue // the length: another APDU, or none
			}
			if which == r.auth {
				err = s.Authenticate(c)
			} else {
				_, err = s.Unwrap(c)
			}
			if !errors.Is(err, ErrMAC) && !errors.Is(err, ErrCryptogram) && !errors.Is(err, ErrFormat) {
				t.Fatalf("bit %d of %s flipped: %v", bit, which, err)
			}
		}
	}
}

func TestReplay(t *testing.T) {
	s := recorded[0].begin(t)
	if err := s.Authenticate(command(t, recorded[0].auth)); err != nil {
		t.Fatal(err)
	}
	s.expect(t, recorded[0].eid, "80e2910006bf3e035c015a00")
	if _, err := s.Unwrap(command(t, recorded[0].eid)); !errors.Is(err, ErrMAC) {
		t.Errorf("the same command again: %v, want %v", err, ErrMAC)
	}
}

func TestLevels(t *testing.T) {
	var legal []Level
	for l := range 256 {
		if Level(l).legal() {
			legal = append(legal, Level(l))
		}
	}
	if want := []Level{0x01, 0x03, 0x11, 0x13, 0x33}; !bytes.Equal(asBytes(legal), asBytes(want)) {
		t.Errorf("legal levels %x, want %x", legal, want)
	}
}

func asBytes(l []Level) (b []byte) {
	for _, v := range l {
		b = append(b, byte(v))
	}
	return b
}

func FuzzUnwrap(f *testing.F) {
	for _, r := range recorded {
		f.Add(unhex(f, r.eid), byte(0x33))
	}
	f.Fuzz(func(t *testing.T, b []byte, level byte) {
		c, err := apdu.Parse(b)
		if err != nil {
			return
		}
		s := recorded[0].begin(t)
		s.level = Level(level)
		if plain, err := s.Unwrap(c); err == nil {
			t.Fatalf("%x passes as %v", b, plain)
		}
		s.level = Level(level) &^ CMAC
		s.Wrap(apdu.Response{Data: b[:min(len(b), 1024)], SW: apdu.SWSuccess})
	})
}
