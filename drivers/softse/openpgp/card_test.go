package openpgp

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

const (
	ok      = apdu.SWSuccess
	blocked = apdu.SWAuthMethodBlocked
	denied  = apdu.SWSecurityStatus
)

// fakeCard is a card of one application: it keeps what each commit saved and
// fails the commits that it is told to fail.
type fakeCard struct {
	applet.Card
	app   *application
	saved [][]byte // the state at each commit that worked
	fail  func() bool
}

var errCommit = errors.New("no commit today")

func (c *fakeCard) Serial() [4]byte { return [4]byte{0x40, 0x5E, 0x00, 0x07} }

func (c *fakeCard) Rand() io.Reader { return rand.Reader }

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
	return (&client{t: t, card: card}).another()
}

// another is a further selection of the same application.
func (c *client) another() *client {
	c.t.Helper()
	s, _, err := c.card.app.Select()
	if s == nil {
		c.t.Fatal(err)
	}
	return &client{t: c.t, card: c.card, s: s}
}

// reload is a client of the application as its last commit makes it again,
// which is what a power cut leaves.
func (c *client) reload() *client {
	c.t.Helper()
	return loaded(c.t, c.card.saved[len(c.card.saved)-1])
}

func loaded(t testing.TB, state []byte) *client {
	t.Helper()
	card := &fakeCard{saved: [][]byte{state}}
	app, err := Package().Modules[0].Load(card, moduleAID, bytes.Clone(state))
	if err != nil {
		t.Fatal(err)
	}
	card.app = app.(*application)
	return (&client{t: t, card: card}).another()
}

// send is one command, its header in hex, and its response.
func (c *client) send(header string, data ...[]byte) apdu.Response {
	h := unhex(header)
	return c.s.Process(apdu.Command{CLA: h[0], INS: h[1], P1: h[2], P2: h[3], Data: bytes.Join(append([][]byte{h[4:]}, data...), nil), Ne: 256})
}

// ok is a command that has to work, and its response data.
func (c *client) ok(header string, data ...[]byte) []byte {
	c.t.Helper()
	r := c.send(header, data...)
	if r.SW != ok {
		c.t.Fatalf("%s: %v", header, r.SW)
	}
	return r.Data
}

// refused is a command that has to be answered with a status and no data.
func (c *client) refused(want apdu.SW, header string, data ...[]byte) {
	c.t.Helper()
	if r := c.send(header, data...); r.SW != want || len(r.Data) != 0 {
		c.t.Errorf("%s: got %v with %d bytes, want %v", header, r.SW, len(r.Data), want)
	}
}

// everything verifies all that there is to verify.
func (c *client) everything() *client {
	c.t.Helper()
	for _, v := range []string{"00200081 313233343536", "00200082 313233343536", "00200083 3132333435363738"} {
		c.ok(v)
	}
	return c
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		panic(err) // a constant of a test
	}
	return b
}
