package piv

import (
	"bytes"
	"crypto/des"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// fakeCard is a card of one application: it keeps what each commit saved and
// fails the commits that it is told to fail.
type fakeCard struct {
	app   *application
	saved [][]byte // the state at each commit that worked
	fail  func() bool

	random io.Reader // crypto/rand.Reader where it is nil
}

var errCommit = errors.New("no commit today")

func (c *fakeCard) Rand() io.Reader {
	if c.random != nil {
		return c.random
	}
	return rand.Reader
}

func (c *fakeCard) Serial() [4]byte { return [4]byte{0xC0, 0x5E, 0x00, 0x07} }

func (c *fakeCard) Commit() error {
	if c.fail != nil && c.fail() {
		return errCommit
	}
	b, err := c.app.Save()
	if err != nil {
		return err
	}
	c.saved = append(c.saved, b)
	return nil
}

// last is the state that a power cut would leave.
func (c *fakeCard) last(t testing.TB) state {
	t.Helper()
	st, err := decodeState(c.saved[len(c.saved)-1])
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// client speaks to one selection of an application.
type client struct {
	t    testing.TB
	card *fakeCard
	s    applet.Selection
}

func newClient(t testing.TB) *client {
	t.Helper()
	card := &fakeCard{}
	app, err := Package().Modules[0].Install(card, moduleAID, nil)
	if err != nil {
		t.Fatal(err)
	}
	card.app = app.(*application)
	return &client{t: t, card: card, s: sel(t, app)}
}

func sel(t testing.TB, app applet.Application) applet.Selection {
	t.Helper()
	s, _, err := app.Select()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// another is a second selection of the same application.
func (c *client) another() *client {
	return &client{t: c.t, card: c.card, s: sel(c.t, c.card.app)}
}

// reload is a client of the application as the last Save makes it again.
func (c *client) reload() *client {
	c.t.Helper()
	b, err := c.card.app.Save()
	if err != nil {
		c.t.Fatal(err)
	}
	return loaded(c.t, b)
}

// send is one command and its response; data in pieces that are joined.
func (c *client) send(ins, p1, p2 byte, data ...[]byte) apdu.Response {
	return c.s.Process(apdu.Command{INS: ins, P1: p1, P2: p2, Data: bytes.Join(data, nil), Ne: 256})
}

// ok is a command that has to work, and its response data.
func (c *client) ok(ins, p1, p2 byte, data ...[]byte) []byte {
	c.t.Helper()
	r := c.send(ins, p1, p2, data...)
	if r.SW != apdu.SWSuccess {
		c.t.Fatalf("%02X %02X %02X: %v", ins, p1, p2, r.SW)
	}
	return r.Data
}

// refused is a command that has to be answered with a status and no data.
func (c *client) refused(want apdu.SW, ins, p1, p2 byte, data ...[]byte) {
	c.t.Helper()
	r := c.send(ins, p1, p2, data...)
	if r.SW != want || len(r.Data) != 0 {
		c.t.Errorf("%02X %02X %02X: got %v with %d bytes, want %v", ins, p1, p2, r.SW, len(r.Data), want)
	}
}

func (c *client) verify(pin string) apdu.SW { return c.send(0x20, 0, 0x80, pad(pin)).SW }

// authenticate proves the default management key: mutual authentication as
// SP 800-73-4 part 2, appendix A.1.1, has it, computed with crypto/des.
func (c *client) authenticate() {
	c.t.Helper()
	block, err := des.NewTripleDESCipher(unhex("010203040506070801020304050607080102030405060708"))
	if err != nil {
		c.t.Fatal(err)
	}
	witness := c.ok(0x87, 0x03, 0x9B, unhex("7C028000"))
	if len(witness) != 12 || !bytes.HasPrefix(witness, unhex("7C0A8008")) {
		c.t.Fatalf("witness % X", witness)
	}
	plain, want := make([]byte, 8), make([]byte, 8)
	block.Decrypt(plain, witness[4:])
	challenge := []byte("eightbyt")
	block.Encrypt(want, challenge)
	got := c.ok(0x87, 0x03, 0x9B, unhex("7C148008"), plain, unhex("8108"), challenge)
	if want := append(unhex("7C0A8208"), want...); !bytes.Equal(got, want) {
		c.t.Fatalf("mutual authentication: got % X, want % X", got, want)
	}
}

// generate makes a key, with the PIN policy never, and returns what 7F49 holds.
func (c *client) generate(s slot, a algorithm) []byte {
	c.t.Helper()
	data := c.ok(0x47, 0, byte(s), unhex("AC068001"), []byte{byte(a)}, unhex("AA0101"))
	public, ok := apdu.FindTLV(data, 0x7F49)
	if !ok {
		c.t.Fatalf("no public key in % X", data)
	}
	return public
}

// use is GENERAL AUTHENTICATE with 82 empty and one value; what 82 answers.
func (c *client) use(s slot, a algorithm, tag apdu.Tag, value []byte) []byte {
	c.t.Helper()
	data := c.ok(0x87, byte(a), byte(s), template(tag, value))
	result, ok := apdu.FindTLV(data, 0x7C, 0x82)
	if !ok {
		c.t.Fatalf("no response in % X", data)
	}
	return result
}

func template(tag apdu.Tag, value []byte) []byte {
	return apdu.AppendTLV(nil, 0x7C, []byte{0x82, 0}, apdu.AppendTLV(nil, tag, value))
}

func pad(pin string) []byte {
	return []byte((pin + strings.Repeat("\xFF", 8))[:max(8, len(pin))])
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		panic(err) // a constant of a test
	}
	return b
}

func object(tag apdu.Tag) []byte {
	return []byte{0x5C, 3, byte(tag >> 16), byte(tag >> 8), byte(tag)}
}
