package openpgp

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloud-of-se/tses/apdu"
)

// tries is the model of a password: its value, and what a power cut at any
// moment must find at most.
type tries struct {
	value       string
	total, left int
}

// model is the passwords and the life cycle as clause 4.3 has them, with
// commits that fail. It knows nothing of the code but what commands answer.
type model struct {
	t          *rapid.T
	c          *client
	selections []*client
	pw         [passwords]tries
	shown      [][proofs]bool // by selection
	terminated bool
	failures   []bool // of the commits of the next command
	commits    int
}

func newModel(t *rapid.T, outer *testing.T) *model {
	c := newClient(outer)
	m := &model{t: t, c: c, selections: []*client{c, c.another()}, shown: make([][proofs]bool, 2)}
	m.factory()
	c.card.fail = func() bool {
		n := m.commits
		m.commits++
		return n < len(m.failures) && m.failures[n]
	}
	return m
}

func (m *model) factory() {
	m.pw = [passwords]tries{pw1: {"123456", 3, 3}, resetCode: {"", 3, 0}, pw3: {"12345678", 3, 3}}
	clear(m.shown)
}

// begin draws which commits of the next command fail, and who sends it.
func (m *model) begin() int {
	m.commits = 0
	m.failures = rapid.SliceOfN(rapid.SampledFrom([]bool{false, false, false, true}), 2, 2).Draw(m.t, "failures")
	return rapid.IntRange(0, 1).Draw(m.t, "selection")
}

// try is what one comparison answers.
func (m *model) try(r reference, right bool) apdu.SW {
	switch {
	case m.terminated:
		return swTerminated
	case m.pw[r].left == 0:
		return blocked
	case m.failures[0]:
		return apdu.SWMemoryFailure
	}
	m.pw[r].left--
	if !right {
		return 0x63C0 + apdu.SW(m.pw[r].left)
	}
	return ok
}

// forget ends what all selections, or all but one, have shown of a password.
func (m *model) forget(r reference, but int) {
	for n := range m.shown {
		for p := range m.shown[n] {
			if proof(p).of() == r && n != but {
				m.shown[n][p] = false
			}
		}
	}
}

func (m *model) forgetOwn(n int, r reference) {
	for p := range m.shown[n] {
		if proof(p).of() == r {
			m.shown[n][p] = false
		}
	}
}

var values = []string{"123456", "12345678", "87654321", "resetting code"}

func (m *model) Verify(t *rapid.T) {
	n, p := m.begin(), proof(rapid.IntRange(0, 2).Draw(t, "proof"))
	guess := rapid.SampledFrom(append(values, m.pw[p.of()].value)).Draw(t, "guess")
	if !m.terminated {
		m.shown[n][p] = false
	}
	want := m.try(p.of(), guess == m.pw[p.of()].value)
	if want == ok && m.failures[1] {
		want = apdu.SWMemoryFailure
	} else if want == ok {
		m.pw[p.of()].left, m.shown[n][p] = m.pw[p.of()].total, true
	}
	m.check("VERIFY", n, want, [4]byte{0, 0x20, 0, 0x81 + byte(p)}, guess)
}

func (m *model) Change(t *rapid.T) {
	n, r := m.begin(), rapid.SampledFrom([]reference{pw1, pw3}).Draw(t, "reference")
	old := rapid.SampledFrom([]string{m.pw[r].value, "00000000"}).Draw(t, "old")
	value := rapid.SampledFrom(append(values, "short")).Draw(t, "new")
	before := m.pw[r]
	want := m.try(r, old == before.value)
	switch {
	case want == ok && m.failures[1]:
		want = apdu.SWMemoryFailure
		m.forgetOwn(n, r)
	case want == ok && !r.possible(len(value)):
		want, m.pw[r].left = apdu.SWWrongData, before.left
	case want == ok:
		m.pw[r] = tries{value, before.total, before.total}
		m.forget(r, n)
	case want != blocked && want != swTerminated:
		m.forgetOwn(n, r)
	}
	p2 := byte(0x81)
	if r == pw3 {
		p2 = 0x83
	}
	m.check("CHANGE", n, want, [4]byte{0, 0x24, 0, p2}, old+value)
}

func (m *model) SetCode(t *rapid.T) {
	n, value := m.begin(), rapid.SampledFrom([]string{"", "resetting code"}).Draw(t, "code")
	want := ok
	switch {
	case m.terminated:
		want = swTerminated
	case !m.shown[n][admin]:
		want = denied
	case m.failures[0]:
		want = apdu.SWMemoryFailure
	default:
		m.pw[resetCode] = tries{value, 3, 3}
		if value == "" {
			m.pw[resetCode].left = 0
		}
	}
	m.check("PUT resetting code", n, want, [4]byte{0, 0xDA, 0, 0xD3}, value)
}

func (m *model) Unblock(t *rapid.T) {
	n, value := m.begin(), rapid.SampledFrom([]string{"123456", "654321", "short"}).Draw(t, "new")
	code := rapid.SampledFrom([]string{"resetting code", "resetting CODE"}).Draw(t, "code")
	before := m.pw[resetCode].left
	want := m.try(resetCode, code == m.pw[resetCode].value)
	switch {
	case want == ok && m.failures[1]:
		want = apdu.SWMemoryFailure
	case want == ok && value == "short":
		want, m.pw[resetCode].left = apdu.SWWrongData, before
	case want == ok:
		m.pw[resetCode].left = 3
		m.pw[pw1] = tries{value, 3, 3}
		m.forget(pw1, -1)
	}
	m.check("RESET RETRY COUNTER", n, want, [4]byte{0, 0x2C, 0, 0x81}, code+value)
}

func (m *model) Terminate(t *rapid.T) {
	n := m.begin()
	want := ok
	switch {
	case m.terminated:
		want = swTerminated
	case !m.shown[n][admin] && (m.pw[pw1].left != 0 || m.pw[pw3].left != 0):
		want = denied
	case m.failures[0]:
		want = apdu.SWMemoryFailure
	default:
		m.factory()
		m.terminated = true
	}
	m.check("TERMINATE", n, want, [4]byte{0, 0xE6}, "")
}

func (m *model) Activate(t *rapid.T) {
	n := m.begin()
	want := ok
	if m.terminated && m.failures[0] {
		want = apdu.SWMemoryFailure
	} else {
		m.terminated = false
	}
	m.check("ACTIVATE", n, want, [4]byte{0, 0x44}, "")
}

func (m *model) check(name string, n int, want apdu.SW, h [4]byte, data string) {
	m.t.Helper()
	r := m.selections[n].s.Process(apdu.Command{CLA: h[0], INS: h[1], P1: h[2], P2: h[3], Data: []byte(data)})
	if r.SW != want {
		m.t.Fatalf("%s on %d: got %v, want %v", name, n, r.SW, want)
	}
}

// Check compares the card with the model: what the selections say, and what a
// power cut would leave on disk.
func (m *model) Check(t *rapid.T) {
	for n, c := range m.selections {
		for p := range proofs {
			want := 0x63C0 + apdu.SW(m.pw[p.of()].left)
			switch {
			case m.terminated:
				want = swTerminated
			case m.shown[n][p]:
				want = ok
			case m.pw[p.of()].left == 0:
				want = blocked
			}
			if got := c.s.Process(apdu.Command{INS: 0x20, P2: 0x81 + byte(p)}).SW; got != want {
				t.Fatalf("selection %d says %v of proof %d, want %v", n, got, p, want)
			}
		}
	}
	if len(m.c.card.saved) == 0 {
		return
	}
	kept, err := decodeState(m.c.card.saved[len(m.c.card.saved)-1])
	if err != nil || kept.terminated != m.terminated {
		t.Fatalf("terminated %v is kept: %v", kept.terminated, err)
	}
	for r, p := range kept.passwords {
		if want := m.pw[r]; int(p.left) != want.left || string(p.value) != want.value {
			t.Fatalf("password %d: %q with %d tries is kept, want %q with %d", r, p.value, p.left, want.value, want.left)
		}
	}
}

func TestPasswordProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt, t)
		rt.Repeat(map[string]func(*rapid.T){
			"Verify": m.Verify, "Change": m.Change, "SetCode": m.SetCode, "Unblock": m.Unblock,
			"Terminate": m.Terminate, "Activate": m.Activate, "": m.Check,
		})
	})
}

// equipped is the state of a card with a key of each kind.
func equipped(t testing.TB) []byte {
	c := newClient(t).everything()
	for _, put := range []string{"00DA00C1 132A8648CE3D030107", "00DA00C2 122B060104019755010501", "00DA00C3 162B06010401DA470F01"} {
		c.ok(put)
	}
	for _, generate := range []string{"00478000 B600", "00478000 B800", "00478000 A400"} {
		c.ok(generate)
	}
	c.ok("00DA00D5 2B7E151628AED2A6ABF7158809CF4F3C")
	c.ok("00DA00D3 7265736574636F6465")
	c.ok("00DA7F21 3082")
	c.ok("00DA00F9 810100")
	c.everything()
	return c.card.saved[len(c.card.saved)-1]
}

var instructions = []byte{0x20, 0x22, 0x24, 0x2A, 0x2C, 0x44, 0x47, 0x84, 0x88, 0xA5, 0xCA, 0xCC, 0xDA, 0xDB, 0xE6, 0xF1, 0xF2}

// script takes fuzzing input apart into commands: flags, INS, P1, P2, a length
// of the data, data. The flags choose the selection (1) and failing commits (2).
func script(b []byte, step func(flags byte, c apdu.Command)) {
	for n := 0; len(b) >= 5 && n < 64; n++ {
		length := min(int(b[4]), len(b)-5)
		c := apdu.Command{CLA: b[0] & 0x8C, INS: b[1], P1: b[2], P2: b[3], Data: b[5 : 5+length], Ne: 256}
		if !slices.Contains(instructions, c.INS) && c.INS < 0xF0 {
			c.INS = instructions[int(c.INS)%len(instructions)]
		}
		step(b[0], c)
		b = b[5+length:]
	}
}

func line(flags byte, command string) []byte {
	h := unhex(command)
	return append([]byte{flags, h[1], h[2], h[3], byte(len(h) - 4)}, h[4:]...)
}

// FuzzCommands plays commands to two selections of one application, of which
// the first may have begun with everything shown. Nothing panics, a refused
// command answers no data and never gives tries back, and the state can be
// loaded again.
func FuzzCommands(f *testing.F) {
	start := equipped(f)
	point := "0900000000000000000000000000000000000000000000000000000000000000"
	f.Add(true, slices.Concat(line(0, "002A9E9A 303132"), line(0, "00880000 303132"), line(0, "002A8086 A6257F49228620"+point),
		line(0, "002241B8830103"), line(0, "00DA00C1 132B81040022"), line(0, "00478000B600"), line(0, "00CA006E")))
	f.Add(true, slices.Concat(line(0, "00DB3FFF 4D2C A400 7F4802 9220 5F4820"+point), line(2, "00880000 01"), line(0, "00E60000"), line(1, "00CA004F"), line(0, "00440000")))
	f.Add(false, slices.Concat(line(0, "00200083 3132333435363738"), line(1, "00240081 313233343536 363534333231"), line(0, "002C0081 7265736574636F6465 363534333231"),
		line(0, "00F20000 050505"), line(2, "00DA00F9 810100"), line(0, "00DA00D3")))
	f.Fuzz(func(t *testing.T, shown bool, b []byte) {
		c := loaded(t, start)
		if shown {
			c.everything()
		}
		selections := []*client{c, c.another()}
		failing := false
		c.card.fail = func() bool { return failing }
		script(b, func(flags byte, cmd apdu.Command) {
			if cmd.INS == insGenerate && slices.ContainsFunc(c.card.app.state.slots[:], func(s slotState) bool { return s.attributes.rsaBits() != 0 }) {
				return // making RSA keys takes too long here
			}
			failing = flags&2 != 0
			before := c.card.app.state
			r := selections[flags&1].s.Process(cmd)
			if r.SW == ok {
				return
			}
			if len(r.Data) != 0 {
				t.Fatalf("%v: %v with %d bytes", cmd, r.SW, len(r.Data))
			}
			for i, p := range c.card.app.state.passwords {
				if p.left > before.passwords[i].left {
					t.Fatalf("%v: %v gave tries back", cmd, r.SW)
				}
			}
		})
		saved, err := c.card.app.Save()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeState(saved); err != nil {
			t.Fatalf("the state cannot be loaded: %v", err)
		}
	})
}

// FuzzState: what can be loaded is written as the same bytes again.
func FuzzState(f *testing.F) {
	f.Add([]byte(nil))
	good := equipped(f)
	f.Add(good)
	for _, i := range []int{3, 4, 5, 6, 20, 100, len(good) - 1} {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		f.Add(bad)
	}
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := decodeState(bytes.Clone(b))
		if err != nil {
			return
		}
		again, err := st.encode()
		if err != nil {
			t.Fatal(err)
		}
		second, err := decodeState(again)
		if err != nil {
			t.Fatalf("what was written cannot be loaded: %v", err)
		}
		if third, err := second.encode(); err != nil || !bytes.Equal(third, again) {
			t.Fatalf("a state has two encodings: %v", err)
		}
	})
}
