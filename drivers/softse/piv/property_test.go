package piv

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloud-of-se/tses/apdu"
)

// tries is the model of a reference: its value, and what a power cut at any
// moment must find at most.
type tries struct {
	value string
	total int
	left  int
}

// pinModel is the PIN and the PUK as SP 800-73-4 has them, with commits that
// fail. It knows nothing of the code but what commands answer.
type pinModel struct {
	t        *rapid.T
	c        *client
	pin, puk tries
	verified []bool // per selection
	selected []*client
	failures []bool // of the commits of the next command
	commits  int
}

func newPINModel(t *rapid.T, outer *testing.T) *pinModel {
	c := newClient(outer)
	m := &pinModel{t: t, c: c, pin: tries{"123456", 3, 3}, puk: tries{"12345678", 3, 3}}
	m.selected = []*client{c, c.another()}
	m.verified = make([]bool, 2)
	c.card.fail = func() bool {
		n := m.commits
		m.commits++
		return n < len(m.failures) && m.failures[n]
	}
	return m
}

// begin draws which commits of the next command fail.
func (m *pinModel) begin() int {
	m.commits = 0
	m.failures = rapid.SliceOfN(rapid.SampledFrom([]bool{false, false, false, true}), 2, 2).Draw(m.t, "failures")
	return rapid.IntRange(0, 1).Draw(m.t, "selection")
}

// try is what one comparison answers; right says that the rest of the command
// goes on.
func (m *pinModel) try(r *tries, guess string) (sw apdu.SW, right bool) {
	switch {
	case r.left == 0:
		return apdu.SWAuthMethodBlocked, false
	case m.failures[0]:
		return apdu.SWMemoryFailure, false
	}
	r.left--
	if guess != r.value {
		return 0x63C0 + apdu.SW(r.left), false
	}
	return ok, true
}

func (m *pinModel) guess(r tries) string {
	return rapid.SampledFrom([]string{r.value, "000000", "654321", "87654321"}).Draw(m.t, "guess")
}

func (m *pinModel) Verify(t *rapid.T) {
	n, guess := m.begin(), m.guess(m.pin)
	m.verified[n] = false
	want, right := m.try(&m.pin, guess)
	if right && m.failures[1] {
		want = apdu.SWMemoryFailure
	} else if right {
		m.pin.left, m.verified[n] = m.pin.total, true
	}
	m.check("VERIFY", m.selected[n].verify(guess), want)
}

func (m *pinModel) Logout(t *rapid.T) {
	n := m.begin()
	m.verified[n] = false
	m.check("VERIFY reset", m.selected[n].send(0x20, 0xFF, 0x80).SW, ok)
}

func (m *pinModel) ChangePIN(t *rapid.T) {
	n, guess := m.begin(), m.guess(m.pin)
	value := rapid.SampledFrom([]string{"123456", "654321", "123"}).Draw(t, "new")
	before, had := m.pin.left, m.verified[n]
	if m.pin.left != 0 {
		m.verified[n] = false
	}
	want, right := m.try(&m.pin, guess)
	if right && m.failures[1] {
		want = apdu.SWMemoryFailure
	} else if right && value == "123" { // the right PIN, and none that it can become
		want, m.pin.left, m.verified[n] = apdu.SWWrongData, before, had
	} else if right {
		m.pin = tries{value, m.pin.total, m.pin.total}
		clear(m.verified)
		m.verified[n] = true
	}
	m.check("CHANGE PIN", m.selected[n].send(0x24, 0, 0x80, pad(guess), pad(value)).SW, want)
}

func (m *pinModel) ChangePUK(t *rapid.T) {
	n, guess := m.begin(), m.guess(m.puk)
	value := rapid.SampledFrom([]string{"12345678", "87654321", ""}).Draw(t, "new")
	before := m.puk.left
	want, right := m.try(&m.puk, guess)
	if right && m.failures[1] {
		want = apdu.SWMemoryFailure
	} else if right && value == "" {
		want, m.puk.left = apdu.SWWrongData, before
	} else if right {
		m.puk = tries{value, m.puk.total, m.puk.total}
	}
	m.check("CHANGE PUK", m.selected[n].send(0x24, 0, 0x81, pad(guess), pad(value)).SW, want)
}

func (m *pinModel) Unblock(t *rapid.T) {
	n, guess := m.begin(), m.guess(m.puk)
	value := rapid.SampledFrom([]string{"123456", "123"}).Draw(t, "new")
	before, had := m.puk.left, m.verified[n]
	if m.puk.left != 0 {
		m.verified[n] = false
	}
	want, right := m.try(&m.puk, guess)
	if right && m.failures[1] {
		want = apdu.SWMemoryFailure
	} else if right && value == "123" {
		want, m.puk.left, m.verified[n] = apdu.SWWrongData, before, had
	} else if right {
		m.puk.left = m.puk.total
		m.pin = tries{"123456", m.pin.total, m.pin.total}
		clear(m.verified)
		m.verified[n] = had
	}
	m.check("RESET RETRY COUNTER", m.selected[n].send(0x2C, 0, 0x80, pad(guess), pad(value)).SW, want)
}

func (m *pinModel) Reset(t *rapid.T) {
	n := m.begin()
	want := ok
	switch {
	case m.pin.left != 0 || m.puk.left != 0:
		want = apdu.SWConditionsNotSatisfied
	case m.failures[0]:
		want = apdu.SWMemoryFailure
	default:
		m.pin, m.puk = tries{"123456", 3, 3}, tries{"12345678", 3, 3}
		clear(m.verified)
	}
	m.check("RESET", m.selected[n].send(0xFB, 0, 0).SW, want)
}

func (m *pinModel) check(name string, got, want apdu.SW) {
	m.t.Helper()
	if got != want {
		m.t.Fatalf("%s: got %v, want %v", name, got, want)
	}
}

// Check compares the card with the model: what the selections say, what is in
// memory, and what a power cut would leave on disk.
func (m *pinModel) Check(t *rapid.T) {
	for n, c := range m.selected {
		want := 0x63C0 + apdu.SW(m.pin.left)
		if m.verified[n] {
			want = ok
		} else if m.pin.left == 0 {
			want = apdu.SWAuthMethodBlocked
		}
		if got := c.send(0x20, 0, 0x80).SW; got != want {
			t.Fatalf("selection %d says %v, want %v", n, got, want)
		}
	}
	if len(m.c.card.saved) == 0 {
		return
	}
	kept := m.c.card.last(m.c.t)
	for _, r := range []struct {
		name  string
		kept  reference
		model tries
	}{{"PIN", kept.pin, m.pin}, {"PUK", kept.puk, m.puk}} {
		if int(r.kept.left) != r.model.left || !slices.Equal(r.kept.value[:], pad(r.model.value)) {
			t.Fatalf("%s: %d tries are kept, want %d", r.name, r.kept.left, r.model.left)
		}
	}
}

func TestPINProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newPINModel(rt, t)
		rt.Repeat(map[string]func(*rapid.T){
			"Verify": m.Verify, "Logout": m.Logout, "ChangePIN": m.ChangePIN, "ChangePUK": m.ChangePUK,
			"Unblock": m.Unblock, "Reset": m.Reset, "": m.Check,
		})
	})
}

var instructions = []byte{0x20, 0x24, 0x2C, 0x47, 0x87, 0xCB, 0xDB, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFD, 0xFE, 0xFF}

// script takes fuzzing input apart into commands: flags, INS, P1, P2, a length
// of the data in two bytes, data. The flags choose the selection (1), failing
// commits (2), the class, and wrap the data (10 for a signature, 20 for a key
// agreement, 30 for an object), so that more of what is tried gets further.
func script(b []byte, step func(flags byte, c apdu.Command)) {
	for n := 0; len(b) >= 6 && n < 64; n++ {
		length := min(int(b[4])<<8|int(b[5]), len(b)-6)
		c := apdu.Command{CLA: b[0] & 0x8C, INS: b[1], P1: b[2], P2: b[3], Data: b[6 : 6+length]}
		if !slices.Contains(instructions, c.INS) && c.INS < 0xF0 {
			c.INS = instructions[int(c.INS)%len(instructions)]
		}
		switch b[0] & 0x30 {
		case 0x10:
			c.Data = template(0x81, c.Data)
		case 0x20:
			c.Data = template(0x85, c.Data)
		case 0x30:
			c.Data = append(object(0x5FC100|apdu.Tag(c.P2)), apdu.AppendTLV(nil, 0x53, c.Data)...)
		}
		step(b[0], c)
		b = b[6+length:]
	}
}

// equipped is the state of a new instance with a key of each kind.
func equipped(t testing.TB) []byte {
	c := newClient(t)
	c.authenticate()
	for s, a := range map[slot]algorithm{0x9A: algP256, 0x9C: algP384, 0x9D: algX25519, 0x82: algEd25519} {
		c.ok(0x47, 0, byte(s), unhex("AC03 8001"), []byte{byte(a)})
	}
	c.importVector()
	return save(t, c)
}

func loaded(t testing.TB, b []byte) *client {
	t.Helper()
	card := &fakeCard{}
	app, err := Package().Modules[0].Load(card, moduleAID, b)
	if err != nil {
		t.Fatal(err)
	}
	card.app = app.(*application)
	return &client{t: t, card: card, s: sel(t, app)}
}

func line(flags byte, c apdu.Command) []byte {
	return append([]byte{flags, c.INS, c.P1, c.P2, byte(len(c.Data) >> 8), byte(len(c.Data))}, c.Data...)
}

// FuzzCommands plays commands to two selections of one application, of which
// the first may have begun with everything proven. Nothing panics, a refused
// command answers no data and never gives tries back, and the state can be
// loaded again.
func FuzzCommands(f *testing.F) {
	verify := line(0, apdu.Command{INS: 0x20, P2: 0x80, Data: pad("123456")})
	start := equipped(f)
	f.Add(true, slices.Concat(verify,
		line(0x10, apdu.Command{INS: 0x87, P1: 0x14, P2: 0x9C, Data: make([]byte, 48)}),
		line(0x20, apdu.Command{INS: 0x87, P1: 0xE1, P2: 0x9D, Data: append([]byte{9}, make([]byte, 31)...)}),
		line(0x30, apdu.Command{INS: 0xDB, P1: 0x3F, P2: 0xFF, Data: []byte("data")}),
		line(0, apdu.Command{INS: 0x47, P2: 0x9A, Data: unhex("AC03800111")}),
		line(0, apdu.Command{INS: 0x87, P1: 0x11, P2: 0x9A, Data: template(0x81, make([]byte, 32))}),
		line(0, apdu.Command{INS: 0xF9, P1: 0x9A}),
		line(0, apdu.Command{INS: 0xF6, P1: 0x82, P2: 0x9A}),
		line(0, apdu.Command{INS: 0xF7, P2: 0x82})))
	f.Add(true, slices.Concat(
		line(0, apdu.Command{INS: 0x87, P1: 0x07, P2: 0x9E, Data: template(0x81, make([]byte, 256))}),
		line(0, apdu.Command{INS: 0xDB, P1: 0x3F, P2: 0xFF, Data: append(object(0x5FC102), unhex("5301AA")...)}),
		line(0, apdu.Command{INS: 0xCB, P1: 0x3F, P2: 0xFF, Data: object(0x5FC102)}),
		line(0, apdu.Command{INS: 0xFF, P1: 0xFF, P2: 0xFF, Data: append(unhex("089B10"), make([]byte, 16)...)}),
		line(0, apdu.Command{INS: 0xFA, P1: 5, P2: 5})))
	f.Add(false, slices.Concat(verify,
		line(0, apdu.Command{INS: 0x24, P2: 0x80, Data: append(pad("123456"), pad("654321")...)}),
		line(2, apdu.Command{INS: 0x2C, P2: 0x80, Data: append(pad("12345678"), pad("111111")...)}),
		line(1, apdu.Command{INS: 0x87, P1: 3, P2: 0x9B, Data: unhex("7C028000")}),
		line(1, apdu.Command{INS: 0x87, P1: 3, P2: 0x9B, Data: unhex("7C0A82080000000000000000")}),
		line(0, apdu.Command{INS: 0xFB})))
	f.Fuzz(func(t *testing.T, manager bool, b []byte) {
		c := loaded(t, start)
		if manager {
			c.authenticate()
			c.verify("123456")
		}
		selections := []*client{c, c.another()}
		failing := false
		c.card.fail = func() bool { return failing }
		script(b, func(flags byte, cmd apdu.Command) {
			if cmd.INS == 0x47 && slices.ContainsFunc(cmd.Data, func(v byte) bool { return algorithm(v).rsaBits() != 0 }) {
				return // making RSA keys takes too long here
			}
			failing = flags&2 != 0
			before := c.card.app.state
			r := selections[flags&1].s.Process(cmd)
			after := c.card.app.state
			if r.SW == ok {
				return
			}
			if len(r.Data) != 0 {
				t.Fatalf("%v: %v with %d bytes", cmd, r.SW, len(r.Data))
			}
			if after.pin.left > before.pin.left || after.puk.left > before.puk.left {
				t.Fatalf("%v: %v gave tries back", cmd, r.SW)
			}
		})
		saved, err := c.card.app.Save()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeState(saved); err != nil {
			t.Fatalf("the state cannot be loaded: %v", err)
		}
		for _, s := range selections {
			s.s.Close()
		}
	})
}
