//go:build linux

package mdns

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// set is a set of the records, by their numbers.
type set uint8

// What there is to be told. Each is one bit of a set.
const (
	hostAddress  set = 1 << iota // NAME.local A
	hostNothing                  // NAME.local NSEC: nothing but A (RFC 6762, 6.1)
	service                      // NAME._racs._tcp.local SRV
	text                         // NAME._racs._tcp.local TXT, which says nothing (RFC 6763, 6.1)
	noMore                       // NAME._racs._tcp.local NSEC: nothing but those two
	instance                     // _racs._tcp.local PTR
	serviceTypes                 // _services._dns-sd._udp.local PTR (RFC 6763, 9)

	told    = hostAddress | service | text | instance | serviceTypes // when nobody asks
	claimed = hostAddress | service | text                           // nobody else may have
	count   = 7
)

// Times to live (RFC 6762, 10): what depends on the host's name or address, and
// the rest. Who does not speak mDNS keeps nothing long (6.7).
const (
	hostTTL   = 120
	otherTTL  = 4500
	legacyTTL = 10

	cacheFlush = 1 << 15 // RFC 6762, 10.2, and QU in questions (5.4)
	typeNSEC   = dnsmessage.Type(47)
)

type record struct {
	name   dnsmessage.Name
	kind   dnsmessage.Type
	ttl    uint32
	unique bool
	body   dnsmessage.ResourceBody
	also   set // what who asks for this is going to ask for next
}

func (r record) ttlTime() time.Duration { return time.Duration(r.ttl) * time.Second }

// records makes them, by their bits' numbers.
func (c Config) records() (all [count]record, err error) {
	name := func(s string) dnsmessage.Name {
		n, e := dnsmessage.NewName(s)
		if e != nil && err == nil {
			err = fmt.Errorf("mDNS: name %.80q: %w", s, e)
		}
		return n
	}
	host, kind := name(c.Name+".local."), name(c.Service+".local.")
	own, types := name(c.Name+"."+c.Service+".local."), name("_services._dns-sd._udp.local.")
	if err == nil && !c.Address.Addr().Is4() {
		err = fmt.Errorf("mDNS: address %s: want one of IPv4", c.Address)
	}
	if err != nil {
		return all, err
	}
	return [count]record{
		{host, dnsmessage.TypeA, hostTTL, true, &dnsmessage.AResource{A: c.Address.Addr().As4()}, hostNothing},
		{host, typeNSEC, hostTTL, true, nothingBut(host, dnsmessage.TypeA), 0},
		{own, dnsmessage.TypeSRV, hostTTL, true, &dnsmessage.SRVResource{Port: c.Port, Target: host}, hostAddress | hostNothing},
		{own, dnsmessage.TypeTXT, otherTTL, true, &dnsmessage.TXTResource{TXT: []string{""}}, 0},
		{own, typeNSEC, hostTTL, true, nothingBut(own, dnsmessage.TypeTXT, dnsmessage.TypeSRV), 0},
		{kind, dnsmessage.TypePTR, otherTTL, false, &dnsmessage.PTRResource{PTR: own}, service | text | hostAddress | hostNothing},
		{types, dnsmessage.TypePTR, otherTTL, false, &dnsmessage.PTRResource{PTR: kind}, 0},
	}, nil
}

// nothingBut is the restricted form of NSEC (RFC 6762, 6.1): the name itself, and
// a bit for each type that there is below 64.
func nothingBut(name dnsmessage.Name, kinds ...dnsmessage.Type) *dnsmessage.UnknownResource {
	var data []byte
	for label := range split(name) {
		data = append(append(data, byte(len(label))), label...)
	}
	var bits [8]byte
	length := 0
	for _, k := range kinds {
		bits[k/8] |= 0x80 >> (k % 8)
		length = max(length, int(k/8)+1)
	}
	data = append(data, 0, 0, byte(length))
	return &dnsmessage.UnknownResource{Type: typeNSEC, Data: append(data, bits[:length]...)}
}

// split goes through the labels of a name.
func split(name dnsmessage.Name) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		rest := name.Data[:name.Length]
		for at := slices.Index(rest, '.'); at > 0; at = slices.Index(rest, '.') {
			if !yield(rest[:at]) {
				return
			}
			rest = rest[at+1:]
		}
	}
}

// same compares names: letters of ASCII without their case (RFC 6762, 16).
func same(a, b dnsmessage.Name) bool {
	if a.Length != b.Length {
		return false
	}
	for i := range a.Data[:a.Length] {
		if lower(a.Data[i]) != lower(b.Data[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// says tells whether a record of somebody else's, with this one's name and type,
// says the same.
func (r record) says(body dnsmessage.ResourceBody) bool {
	switch own := r.body.(type) {
	case *dnsmessage.AResource:
		b, ok := body.(*dnsmessage.AResource)
		return ok && b.A == own.A
	case *dnsmessage.SRVResource:
		b, ok := body.(*dnsmessage.SRVResource)
		return ok && b.Priority == own.Priority && b.Weight == own.Weight && b.Port == own.Port && same(b.Target, own.Target)
	case *dnsmessage.TXTResource:
		b, ok := body.(*dnsmessage.TXTResource)
		return ok && slices.Equal(b.TXT, own.TXT)
	case *dnsmessage.PTRResource:
		b, ok := body.(*dnsmessage.PTRResource)
		return ok && same(b.PTR, own.PTR)
	}
	return false
}

// answerTo is what answers a question. Where a name of the box has nothing of a
// type, the answer is that it has nothing.
func (r *responder) answerTo(q dnsmessage.Question) set {
	class := q.Class &^ cacheFlush
	if class != dnsmessage.ClassINET && class != dnsmessage.ClassANY {
		return 0
	}
	var found, nothing set
	for i, rec := range r.records {
		if !same(rec.name, q.Name) {
			continue
		}
		bit := set(1) << i
		switch {
		case rec.kind == q.Type:
			found |= bit
		case rec.kind == typeNSEC:
			nothing = bit
		case q.Type == dnsmessage.TypeALL:
			found |= bit
		}
	}
	if found == 0 {
		return nothing
	}
	return found
}

// how a packet is made.
type form struct {
	id        uint16
	questions []dnsmessage.Question
	answers   set
	authority bool // the records are what is asked whether anybody has it
	legacy    bool // RFC 6762, 6.7
	goodbye   bool // RFC 6762, 10.1
}

// build makes a packet. All records there are fit into one of 512 bytes but for
// names of 63 bytes, and into one of Ethernet always.
func (r *responder) build(f form) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 0, 512), dnsmessage.Header{ID: f.id, Response: !f.authority, Authoritative: !f.authority})
	b.EnableCompression()
	err := b.StartQuestions()
	for _, q := range f.questions {
		if err == nil {
			err = b.Question(q)
		}
	}
	if f.authority {
		if err == nil {
			err = b.StartAuthorities()
		}
		if err == nil {
			err = r.put(&b, f.answers, f)
		}
	} else {
		if err == nil {
			err = b.StartAnswers()
		}
		if err == nil {
			err = r.put(&b, f.answers, f)
		}
		if err == nil {
			err = b.StartAdditionals()
		}
		if err == nil && !f.goodbye {
			err = r.put(&b, r.also(f.answers), f)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("mDNS: %w", err)
	}
	return b.Finish()
}

func (r *responder) also(answers set) set {
	var all set
	for i, rec := range r.records {
		if answers&(1<<i) != 0 {
			all |= rec.also
		}
	}
	return all &^ answers
}

func (r *responder) put(b *dnsmessage.Builder, records set, f form) error {
	for i, rec := range r.records {
		if records&(1<<i) == 0 {
			continue
		}
		h := dnsmessage.ResourceHeader{Name: rec.name, Class: dnsmessage.ClassINET, TTL: rec.ttl}
		if rec.unique && !f.legacy && !f.authority {
			h.Class |= cacheFlush
		}
		if f.legacy {
			h.TTL = min(h.TTL, legacyTTL)
		}
		if f.goodbye {
			h.TTL = 0
		}
		if err := add(b, h, rec.body); err != nil {
			return err
		}
	}
	return nil
}

func add(b *dnsmessage.Builder, h dnsmessage.ResourceHeader, body dnsmessage.ResourceBody) error {
	switch body := body.(type) {
	case *dnsmessage.AResource:
		return b.AResource(h, *body)
	case *dnsmessage.SRVResource:
		return b.SRVResource(h, *body)
	case *dnsmessage.TXTResource:
		return b.TXTResource(h, *body)
	case *dnsmessage.PTRResource:
		return b.PTRResource(h, *body)
	case *dnsmessage.UnknownResource:
		h.Type = body.Type
		return b.UnknownResource(h, *body)
	}
	return fmt.Errorf("BUG: no record is of type %T", body)
}
