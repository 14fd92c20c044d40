//go:build linux

package mdns

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var (
	someone = netip.MustParseAddrPort("10.9.0.7:5353")
	dig     = netip.MustParseAddrPort("10.9.0.7:40000")
	began   = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

// bench is a responder that is told the time.
type bench struct {
	*responder
	now time.Time
	log bytes.Buffer
}

func newBench(t testing.TB) *bench {
	b := &bench{now: began}
	c := Config{
		Interface: "eth7", Address: netip.MustParsePrefix("10.9.0.20/24"), Name: "tses-0123", Service: "_racs._tcp", Port: 7777,
		Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	}
	r, err := newResponder(c, b.now)
	if err != nil {
		t.Fatal(err)
	}
	b.responder = r
	return b
}

// run lets time pass and returns what is sent to all.
func (b *bench) run(t testing.TB, d time.Duration) []string {
	t.Helper()
	var all []string
	for end := b.now.Add(d); ; {
		next := b.next()
		if next.IsZero() || next.After(end) {
			b.now = end
			return all
		}
		if next.After(b.now) {
			b.now = next
		}
		for p := b.due(b.now); p != nil; p = b.due(b.now) {
			all = append(all, show(t, p))
		}
	}
}

// started is past its announcements, and long enough for others to ask again.
func started(t testing.TB) *bench {
	b := newBench(t)
	b.run(t, time.Minute)
	return b
}

// show writes a packet down: its records by type, and what is remarkable.
func show(t testing.TB, packet []byte) string {
	t.Helper()
	if packet == nil {
		return ""
	}
	if len(packet) > 1472 {
		t.Errorf("a packet of %d bytes", len(packet))
	}
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		t.Fatalf("%X: %v", packet, err)
	}
	var parts []string
	for _, section := range [][]dnsmessage.Resource{m.Answers, m.Authorities} {
		for _, rr := range section {
			kind := strings.TrimPrefix(rr.Header.Type.String(), "Type")
			parts = append(parts, fmt.Sprintf("%s/%d", kind, rr.Header.TTL))
			unique := rr.Header.Type != dnsmessage.TypePTR && len(m.Questions) == 0 && m.Response
			if unique != (rr.Header.Class&cacheFlush != 0) {
				t.Errorf("%v: class %X", rr.Header.Name, rr.Header.Class)
			}
		}
	}
	if !m.Response {
		parts = append([]string{"?"}, parts...)
	}
	return strings.Join(parts, " ")
}

type q struct {
	name  string
	kind  dnsmessage.Type
	class dnsmessage.Class // 0: IN
}

// ask makes a question packet.
func ask(t testing.TB, id uint16, known []dnsmessage.Resource, questions ...q) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id}, Answers: known}
	for _, x := range questions {
		if x.class == 0 {
			x.class = dnsmessage.ClassINET
		}
		m.Questions = append(m.Questions, dnsmessage.Question{Name: dnsmessage.MustNewName(x.name), Type: x.kind, Class: x.class})
	}
	return pack(t, m)
}

func pack(t testing.TB, m dnsmessage.Message) []byte {
	t.Helper()
	p, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func resource(name string, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl}, Body: body}
}

const (
	hostName     = "tses-0123.local."
	typeName     = "_racs._tcp.local."
	instanceName = "tses-0123._racs._tcp.local."
	metaName     = "_services._dns-sd._udp.local."
)

func pointer() dnsmessage.Resource {
	return resource(typeName, otherTTL, &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(instanceName)})
}

// RFC 6762, 8: three probes, and then it is said to all.
func TestStartup(t *testing.T) {
	b := newBench(t)
	// Nobody is answered by a box that does not know yet.
	if reply := b.handle(ask(t, 1, nil, q{hostName, dnsmessage.TypeA, 0}), dig, b.now); reply != nil {
		t.Errorf("got %s", show(t, reply))
	}
	const probe, all = "? TypeA/120 SRV/120 TXT/4500", "A/120 SRV/120 TXT/4500 PTR/4500 PTR/4500"
	want := []string{strings.ReplaceAll(probe, "Type", ""), strings.ReplaceAll(probe, "Type", ""), strings.ReplaceAll(probe, "Type", ""), all, all, all}
	if got := b.run(t, time.Minute); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := show(t, b.goodbye()); got != "A/0 SRV/0 TXT/0 PTR/0 PTR/0" {
		t.Errorf("goodbye: %s", got)
	}
	if newBench(t).goodbye() != nil {
		t.Error("what was never said is taken back")
	}
}

func TestAnswers(t *testing.T) {
	any, flush := dnsmessage.TypeALL, dnsmessage.ClassINET|cacheFlush
	for _, tt := range []struct {
		name  string
		ask   q
		known []dnsmessage.Resource
		all   string // told to all
		one   string // told to a legacy asker
	}{
		{"address", q{hostName, dnsmessage.TypeA, 0}, nil, "A/120", "A/10"},
		{"case", q{"TSES-0123.Local.", dnsmessage.TypeA, 0}, nil, "A/120", "A/10"},
		{"any class", q{hostName, dnsmessage.TypeA, dnsmessage.ClassANY}, nil, "A/120", "A/10"},
		{"no IPv6", q{hostName, dnsmessage.TypeAAAA, 0}, nil, "47/120", "47/10"},
		{"host", q{hostName, any, 0}, nil, "A/120", "A/10"},
		{"browse", q{typeName, dnsmessage.TypePTR, 0}, nil, "PTR/4500", "PTR/10"},
		{"service", q{instanceName, dnsmessage.TypeSRV, 0}, nil, "SRV/120", "SRV/10"},
		{"text", q{instanceName, dnsmessage.TypeTXT, 0}, nil, "TXT/4500", "TXT/10"},
		{"instance", q{instanceName, any, 0}, nil, "SRV/120 TXT/4500", "SRV/10 TXT/10"},
		{"service has no address", q{instanceName, dnsmessage.TypeA, 0}, nil, "47/120", "47/10"},
		{"types", q{metaName, dnsmessage.TypePTR, 0}, nil, "PTR/4500", "PTR/10"},
		{"asker alone, and nobody knows", q{hostName, dnsmessage.TypeA, flush}, nil, "A/120", "A/10"},
		{"known", q{typeName, dnsmessage.TypePTR, 0}, []dnsmessage.Resource{pointer()}, "", ""},
		{"half forgotten", q{typeName, dnsmessage.TypePTR, 0}, []dnsmessage.Resource{resource(typeName, otherTTL/2-1, pointer().Body)}, "PTR/4500", "PTR/10"},
		{"known is another", q{typeName, dnsmessage.TypePTR, 0}, []dnsmessage.Resource{
			resource(typeName, otherTTL, &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("other." + typeName)}),
		}, "PTR/4500", "PTR/10"},
		{"other host", q{"tses-0124.local.", dnsmessage.TypeA, 0}, nil, "", ""},
		{"other class", q{hostName, dnsmessage.TypeA, dnsmessage.ClassCHAOS}, nil, "", ""},
		{"no pointer", q{typeName, dnsmessage.TypeA, 0}, nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := started(t)
			packet := ask(t, 0, tt.known, tt.ask)
			if got := b.handle(packet, someone, b.now); got != nil {
				t.Errorf("%s for one", show(t, got))
			}
			if got := strings.Join(b.run(t, time.Second), ", "); got != tt.all {
				t.Errorf("told to all: %s, want %s", got, tt.all)
			}
			reply := b.handle(ask(t, 0xABCD, tt.known, tt.ask), dig, b.now)
			if got := show(t, reply); got != tt.one {
				t.Errorf("told to one: %s, want %s", got, tt.one)
			}
			if reply != nil {
				var m dnsmessage.Message
				if err := m.Unpack(reply); err != nil || m.ID != 0xABCD || len(m.Questions) != 1 {
					t.Errorf("%+v, %v: not the question's", m, err)
				}
			}
		})
	}
}

// What was told to all lately is told to one who asks for it alone, and to all
// at most once a second.
func TestLately(t *testing.T) {
	b := started(t)
	for i, want := range []struct {
		packet   []byte
		one, all string
	}{
		{ask(t, 0, nil, q{hostName, dnsmessage.TypeA, 0}), "", "A/120"},
		{ask(t, 0, nil, q{hostName, dnsmessage.TypeA, 0}), "", ""},
		{ask(t, 0, nil, q{hostName, dnsmessage.TypeA, dnsmessage.ClassINET | cacheFlush}), "A/120", ""},
	} {
		if got := show(t, b.handle(want.packet, someone, b.now)); got != want.one {
			t.Errorf("%d: told to one: %s, want %s", i, got, want.one)
		}
		if got := strings.Join(b.run(t, 100*time.Millisecond), ", "); got != want.all {
			t.Errorf("%d: told to all: %s, want %s", i, got, want.all)
		}
	}
}

// Several questions at about the same time are one answer, and who has more to
// say that it knows is waited for.
func TestAggregate(t *testing.T) {
	b := started(t)
	b.handle(ask(t, 0, nil, q{typeName, dnsmessage.TypePTR, 0}), someone, b.now)
	b.handle(ask(t, 0, nil, q{metaName, dnsmessage.TypePTR, 0}), netip.MustParseAddrPort("10.9.0.8:5353"), b.now)
	if got := b.run(t, time.Second); !slices.Equal(got, []string{"PTR/4500 PTR/4500"}) {
		t.Errorf("got %q", got)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{Truncated: true}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(typeName), Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET},
	}}
	b.handle(pack(t, m), someone, b.now)
	if got := b.run(t, 300*time.Millisecond); got != nil {
		t.Errorf("got %q", got)
	}
	b.handle(ask(t, 0, []dnsmessage.Resource{pointer()}), someone, b.now)
	if got := b.run(t, time.Second); got != nil {
		t.Errorf("it is known, and told again: %q", got)
	}
}

// Somebody who claims the name is contradicted, the owner is told, and nothing
// is renamed.
func TestConflict(t *testing.T) {
	theirs := resource(hostName, 120, &dnsmessage.AResource{A: [4]byte{10, 9, 0, 7}})
	claim := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Answers: []dnsmessage.Resource{theirs}}
	probe := dnsmessage.Message{Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(hostName), Type: dnsmessage.TypeALL, Class: dnsmessage.ClassINET},
	}, Authorities: []dnsmessage.Resource{theirs}}
	for name, m := range map[string]dnsmessage.Message{"claim": claim, "probe": probe} {
		b := started(t)
		told := 0
		for range 600 { // a minute of it
			b.handle(pack(t, m), someone, b.now)
			for _, p := range b.run(t, 100*time.Millisecond) {
				if strings.Contains(p, "A/120") {
					told++
				}
			}
		}
		if told == 0 || told > 60*4 {
			t.Errorf("%s: contradicted %d times", name, told)
		}
		if n := strings.Count(b.log.String(), "somebody else claims"); n != 1 || !strings.Contains(b.log.String(), "10.9.0.7") {
			t.Errorf("%s: the log has it %d times:\n%s", name, n, b.log.String())
		}
		reply := b.handle(ask(t, 1, nil, q{hostName, dnsmessage.TypeA, 0}), dig, b.now.Add(time.Minute))
		if got := show(t, reply); got != "A/10" {
			t.Errorf("%s: the name is gone: %q", name, got)
		}
	}
	// What another says of its own, or repeats of the box's, is no conflict.
	b := started(t)
	for _, rr := range []dnsmessage.Resource{
		resource("other.local.", 120, theirs.Body), resource(hostName, 120, &dnsmessage.AResource{A: [4]byte{10, 9, 0, 20}}),
		resource(typeName, otherTTL, &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("other." + typeName)}), resource(hostName, 0, theirs.Body),
	} {
		m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Answers: []dnsmessage.Resource{rr}}
		b.handle(pack(t, m), someone, b.now)
	}
	if got := b.run(t, time.Second); got != nil || b.log.Len() > 0 {
		t.Errorf("told %q, %s", got, b.log.String())
	}
}

// Somebody who says that the box has gone is corrected.
func TestForgotten(t *testing.T) {
	b := started(t)
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Answers: []dnsmessage.Resource{
		resource(hostName, 0, &dnsmessage.AResource{A: [4]byte{10, 9, 0, 20}}), resource(typeName, 0, pointer().Body),
	}}
	b.handle(pack(t, m), someone, b.now)
	if got := b.run(t, time.Second); !slices.Equal(got, []string{"A/120 PTR/4500"}) {
		t.Errorf("got %q", got)
	}
}

// Nothing comes of what is from elsewhere, or broken, or no question.
func TestNoAnswer(t *testing.T) {
	good := ask(t, 1, nil, q{hostName, dnsmessage.TypeA, 0})
	changed := func(at int, value byte) []byte { b := bytes.Clone(good); b[at] = value; return b }
	for name, tt := range map[string]struct {
		packet []byte
		from   string
	}{
		"from another network": {good, "10.8.0.7:40000"},
		"from itself":          {good, "10.9.0.20:40000"},
		"from port 0":          {good, "10.9.0.7:0"},
		"an answer":            {changed(2, 0x80), "10.9.0.7:40000"},
		"another operation":    {changed(2, 0x10), "10.9.0.7:40000"},
		"an error":             {changed(3, 2), "10.9.0.7:40000"},
		"cut off":              {good[:len(good)-1], "10.9.0.7:40000"},
		"answers missing":      {changed(7, 1), "10.9.0.7:40000"},
		"nothing":              {nil, "10.9.0.7:40000"},
	} {
		b := started(t)
		if got := b.handle(tt.packet, netip.MustParseAddrPort(tt.from), b.now); got != nil {
			t.Errorf("%s: %s", name, show(t, got))
		}
		if got := b.run(t, time.Minute); got != nil {
			t.Errorf("%s: told to all: %q", name, got)
		}
	}
}

// One packet has so many questions, and all askers together get so many answers.
func TestBounds(t *testing.T) {
	b := started(t)
	var many []q
	for range 100 {
		many = append(many, q{instanceName, dnsmessage.TypeALL, 0})
	}
	var m dnsmessage.Message
	if err := m.Unpack(b.handle(ask(t, 1, nil, many...), dig, b.now)); err != nil || len(m.Questions) != maxQuestions || len(m.Answers) != 2 {
		t.Errorf("%v: %d questions, %d answers", err, len(m.Questions), len(m.Answers))
	}
	packet, answers := ask(t, 1, nil, q{hostName, dnsmessage.TypeA, 0}), 0
	for range 10000 { // in ten seconds
		if b.handle(packet, dig, b.now) != nil {
			answers++
		}
		b.now = b.now.Add(time.Millisecond)
	}
	if want := burst + 10*perSecond; answers < want-2 || answers > want+2 {
		t.Errorf("%d answers, want %d", answers, want)
	}
	told := 0
	for range 1000 { // in ten seconds
		b.handle(ask(t, 0, nil, q{hostName, dnsmessage.TypeA, 0}, q{typeName, dnsmessage.TypePTR, 0}), someone, b.now)
		told += len(b.run(t, 10*time.Millisecond))
	}
	if told > 25 {
		t.Errorf("told %d times to all", told)
	}
}

func TestNames(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.Name = strings.Repeat("x", 300) },
		func(c *Config) { c.Address = netip.MustParsePrefix("fe80::1/64") },
	} {
		c := started(t).Config
		change(&c)
		if _, err := newResponder(c, began); err == nil {
			t.Errorf("%+v is no error", c)
		}
	}
	c := started(t).Config
	c.Name = strings.Repeat("x", 63)
	r, err := newResponder(c, began)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{responder: r, now: began}
	if got := b.run(t, time.Minute); len(got) != probes+announcements {
		t.Errorf("got %q", got)
	}
}

// FuzzHandle gives any packets to it.
func FuzzHandle(f *testing.F) {
	b := started(f)
	f.Add(ask(f, 1, nil, q{hostName, dnsmessage.TypeA, 0}), true)
	f.Add(ask(f, 0, []dnsmessage.Resource{pointer()}, q{typeName, dnsmessage.TypePTR, 0}, q{instanceName, dnsmessage.TypeALL, dnsmessage.ClassINET | cacheFlush}), false)
	f.Add(b.tell(told, b.now), false)
	f.Add(b.goodbye(), false)
	b = newBench(f)
	f.Add(b.startup(b.now), false)
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 12, 0, 1, 0, 1}, true) // a name that begins with itself
	f.Fuzz(func(t *testing.T, packet []byte, legacy bool) {
		b := started(t)
		from := someone
		if legacy {
			from = dig
		}
		kept := bytes.Clone(packet)
		show(t, b.handle(packet, from, b.now))
		show(t, b.handle(packet, from, b.now))
		if !bytes.Equal(kept, packet) {
			t.Error("the packet was changed")
		}
		if told := b.run(t, 10*time.Second); len(told) > 4 {
			t.Errorf("one packet makes %d: %q", len(told), told)
		}
		if got := show(t, b.handle(ask(t, 1, nil, q{hostName, dnsmessage.TypeA, 0}), dig, b.now)); got != "A/10" {
			t.Errorf("it does not answer any more: %q", got)
		}
	})
}
