package piv

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

var managementKeys = []struct {
	name string
	alg  byte
	key  []byte
	make func([]byte) (cipher.Block, error)
}{
	{"3DES", 0x03, unhex("0123456789ABCDEF23456789ABCDEF01456789ABCDEF0123"), des.NewTripleDESCipher},
	{"AES-128", 0x08, unhex("000102030405060708090A0B0C0D0E0F"), aes.NewCipher},
	{"AES-192", 0x0A, unhex("010203040506070801020304050607080102030405060708"), aes.NewCipher},
	{"AES-256", 0x0C, unhex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"), aes.NewCipher},
}

func setKey(c *client, alg byte, key []byte) {
	c.t.Helper()
	c.ok(0xFF, 0xFF, 0xFF, []byte{alg, 0x9B, byte(len(key))}, key)
}

func isManager(c *client) bool {
	return c.send(0xDB, 0x3F, 0xFF, object(0x5FC102), unhex("5300")).SW == ok
}

func TestMutualAuthentication(t *testing.T) {
	for _, tt := range managementKeys {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t)
			c.authenticate()
			setKey(c, tt.alg, tt.key)
			if !isManager(c) {
				t.Error("who set the key is not authenticated any more")
			}
			c = c.another()
			block, err := tt.make(tt.key)
			if err != nil {
				t.Fatal(err)
			}
			n := block.BlockSize()
			witness, _ := apdu.FindTLV(c.ok(0x87, tt.alg, 0x9B, unhex("7C028000")), 0x7C, 0x80)
			plain, challenge, want := make([]byte, n), bytes.Repeat([]byte{0x5A}, n), make([]byte, n)
			block.Decrypt(plain, witness)
			block.Encrypt(want, challenge)
			inner := append(apdu.AppendTLV(apdu.AppendTLV(nil, 0x80, plain), 0x81, challenge), 0x82, 0)
			got, _ := apdu.FindTLV(c.ok(0x87, tt.alg, 0x9B, apdu.AppendTLV(nil, 0x7C, inner)), 0x7C, 0x82)
			if !bytes.Equal(got, want) {
				t.Errorf("got % X, want % X", got, want)
			}
			if !isManager(c) {
				t.Error("not authenticated")
			}
		})
	}
}

func TestExternalAuthentication(t *testing.T) {
	for _, tt := range managementKeys {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t)
			c.authenticate()
			setKey(c, tt.alg, tt.key)
			c = c.another()
			block, err := tt.make(tt.key)
			if err != nil {
				t.Fatal(err)
			}
			challenge, _ := apdu.FindTLV(c.ok(0x87, tt.alg, 0x9B, unhex("7C028100")), 0x7C, 0x81)
			response := make([]byte, block.BlockSize())
			block.Encrypt(response, challenge)
			answer := apdu.AppendTLV(nil, 0x7C, apdu.AppendTLV(nil, 0x82, response))
			c.ok(0x87, tt.alg, 0x9B, answer)
			if !isManager(c) {
				t.Error("not authenticated")
			}
			c.refused(apdu.SWSecurityStatus, 0x87, tt.alg, 0x9B, answer) // a challenge has one answer
			if isManager(c) {
				t.Error("authenticated after a wrong answer")
			}
		})
	}
}

// P1 00 is the default algorithm; it is how some clients draw random numbers.
func TestChallengeOfTheDefaultAlgorithm(t *testing.T) {
	c := newClient(t)
	a, b := c.ok(0x87, 0, 0x9B, unhex("7C028100")), c.ok(0x87, 0, 0x9B, unhex("7C028100"))
	if len(a) != 12 || bytes.Equal(a, b) {
		t.Errorf("got % X and % X", a, b)
	}
}

func TestInternalAuthentication(t *testing.T) {
	c := newClient(t)
	command := unhex("7C0C 8108 0011223344556677 8200")
	c.refused(apdu.SWSecurityStatus, 0x87, 0x03, 0x9B, command)
	c.authenticate()
	block, err := des.NewTripleDESCipher(unhex("010203040506070801020304050607080102030405060708"))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 8)
	block.Encrypt(want, command[4:12])
	if got := c.ok(0x87, 0x03, 0x9B, command); !bytes.Equal(got[4:], want) {
		t.Errorf("got % X, want % X", got[4:], want)
	}
}

func TestWrongAnswersOfTheManager(t *testing.T) {
	witness, challenge := unhex("7C028000"), unhex("7C028100")
	mutual := unhex("7C14 8008 0000000000000000 8108 0000000000000000")
	for _, tt := range []struct {
		name  string
		first []byte
		then  []byte
		want  apdu.SW
	}{
		{"wrong witness", witness, mutual, apdu.SWSecurityStatus},
		{"witness never asked for", nil, mutual, apdu.SWSecurityStatus},
		{"witness after a challenge", challenge, mutual, apdu.SWSecurityStatus},
		{"response after a witness", witness, unhex("7C0A 8208 0000000000000000"), apdu.SWSecurityStatus},
		{"response never asked for", nil, unhex("7C0A 8208 0000000000000000"), apdu.SWSecurityStatus},
		{"empty response never asked for", nil, unhex("7C02 8200"), apdu.SWSecurityStatus},
		{"short response", challenge, unhex("7C03 8201 00"), apdu.SWSecurityStatus},
		{"witness alone", witness, unhex("7C0A 8008 0000000000000000"), apdu.SWWrongData},
		{"challenge alone", nil, unhex("7C0A 8108 0000000000000000"), apdu.SWWrongData},
		{"nothing", nil, unhex("7C00"), apdu.SWWrongData},
		{"exponentiation", nil, unhex("7C04 8500 8100"), apdu.SWWrongData},
		{"twice the same", nil, unhex("7C04 8100 8100"), apdu.SWWrongData},
		{"unknown object", nil, unhex("7C02 8300"), apdu.SWWrongData},
		{"no template", nil, unhex("8100"), apdu.SWWrongData},
		{"more than a template", nil, unhex("7C028100 00"), apdu.SWWrongData},
		{"cut object", nil, unhex("7C0281"), apdu.SWWrongData},
		{"cut inner object", nil, unhex("7C028105"), apdu.SWWrongData},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t)
			if tt.first != nil {
				c.ok(0x87, 0x03, 0x9B, tt.first)
			}
			c.refused(tt.want, 0x87, 0x03, 0x9B, tt.then)
			if isManager(c) {
				t.Error("authenticated")
			}
		})
	}
}

// An exchange that was answered, rightly or not, waits for nothing any more;
// nor for the zeros that its wiped memory holds.
func TestAnExchangeHasOneAnswer(t *testing.T) {
	zeros := unhex("7C0A 8208 0000000000000000")
	c := newClient(t)
	c.ok(0x87, 0x03, 0x9B, unhex("7C028100"))
	c.refused(apdu.SWSecurityStatus, 0x87, 0x03, 0x9B, zeros)
	c.refused(apdu.SWSecurityStatus, 0x87, 0x03, 0x9B, zeros)
	if isManager(c) {
		t.Error("authenticated")
	}
}

// The challenge that one channel got must not be answered by the card itself
// on another.
func TestNoReflection(t *testing.T) {
	c := newClient(t)
	drawn := c.ok(0x87, 0x03, 0x9B, unhex("7C028100"))[4:]
	c.another().refused(apdu.SWSecurityStatus, 0x87, 0x03, 0x9B, unhex("7C0C 8108"), drawn, unhex("8200"))
}

// A challenge drawn under the old key is worth nothing under the new one.
func TestNewManagementKeyEndsOthers(t *testing.T) {
	c := newClient(t)
	other := c.another()
	other.authenticate()
	old, err := des.NewTripleDESCipher(defaultManagementBytes())
	if err != nil {
		t.Fatal(err)
	}
	response := make([]byte, 8)
	old.Encrypt(response, other.ok(0x87, 0x03, 0x9B, unhex("7C028100"))[4:])
	c.authenticate()
	setKey(c, 0x03, make([]byte, 24))
	if isManager(other) {
		t.Error("the other selection is still authenticated")
	}
	other.refused(apdu.SWSecurityStatus, 0x87, 0x03, 0x9B, unhex("7C0A8208"), response)
	setKey(c, 0x08, make([]byte, 16))
	other.refused(apdu.SWIncorrectP1P2, 0x87, 0x03, 0x9B, unhex("7C028000"))
}

func TestSetManagementKeyKeepsTouchPolicy(t *testing.T) {
	c := newClient(t)
	if got, want := c.ok(0xF7, 0, 0x9B), unhex("010103 02020001 050101"); !bytes.Equal(got, want) {
		t.Errorf("default: got % X, want % X", got, want)
	}
	c.authenticate()
	for p2, touch := range map[byte]byte{0xFF: 1, 0xFE: 2, 0xFD: 3} {
		c.ok(0xFF, 0xFF, p2, unhex("0C9B20"), make([]byte, 32))
		want := append(unhex("01010C 020200"), touch, 5, 1, 0)
		if got := c.ok(0xF7, 0, 0x9B); !bytes.Equal(got, want) {
			t.Errorf("P2 %02X: got % X, want % X", p2, got, want)
		}
	}
	c.card.fail = func() bool { return true }
	c.refused(apdu.SWMemoryFailure, 0xFF, 0xFF, 0xFF, unhex("089B10"), make([]byte, 16))
	c.card.fail = nil
	if got := c.ok(0xF7, 0, 0x9B); got[2] != 0x0C {
		t.Errorf("after a commit that failed the algorithm is %02X", got[2])
	}
}
