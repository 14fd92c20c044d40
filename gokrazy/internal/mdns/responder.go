//go:build linux

package mdns

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Times of RFC 6762: between probes and announcements (8), between two times
// that a record is told to all, and that a name is defended against a probe (6).
const (
	probeEvery    = 250 * time.Millisecond
	announceEvery = time.Second
	tellEvery     = time.Second
	defendEvery   = 250 * time.Millisecond

	probes        = 3
	announcements = 3
)

// What one packet, and everybody together, can make the box do.
const (
	maxQuestions = 16
	burst        = 32 // answers to one asker
	perSecond    = 16
	warnEvery    = time.Minute
	repeatEvery  = 10 * time.Second // a claim is repeated to who contradicts it
)

// responder is all but the socket: it is told what comes and when, and says what
// is to be sent. It never waits.
type responder struct {
	Config
	records [count]record

	step int       // how many probes and announcements were sent
	turn time.Time // when the next one is

	pending set // to be told to all
	at      time.Time
	asker   netip.Addr    // the only one who asked for that; zero: several did
	apart   time.Duration // from the last time that it was told

	sent   [count]time.Time // to all
	tokens float64
	filled time.Time

	warned, repeated time.Time
}

func newResponder(c Config, now time.Time) (*responder, error) {
	records, err := c.records()
	if err != nil {
		return nil, err
	}
	// Boxes that are switched on together do not probe together (8.1).
	return &responder{Config: c, records: records, turn: now.Add(rand.N(probeEvery)), tokens: burst, filled: now}, nil
}

// next is when due has something again; the zero time is never.
func (r *responder) next() time.Time {
	next := r.turn
	if r.pending != 0 && (next.IsZero() || r.at.Before(next)) {
		next = r.at
	}
	return next
}

// due returns a packet that is to be sent to all now, or nil.
func (r *responder) due(now time.Time) []byte {
	if !r.turn.IsZero() && !now.Before(r.turn) {
		return r.startup(now)
	}
	if r.pending == 0 || now.Before(r.at) {
		return nil
	}
	tell := r.pending
	r.pending = 0
	for i := range r.records {
		if bit := set(1) << i; tell&bit != 0 && now.Sub(r.sent[i]) < r.apart {
			tell &^= bit
		}
	}
	if tell == 0 {
		return nil
	}
	return r.tell(tell, now)
}

// startup asks whether somebody has the names, and says then who does.
func (r *responder) startup(now time.Time) []byte {
	r.step++
	switch {
	case r.step < probes:
		r.turn = now.Add(probeEvery)
	case r.step == probes:
		r.turn = now.Add(probeEvery)
	case r.step < probes+announcements:
		r.turn = now.Add(announceEvery)
	default:
		r.turn = time.Time{}
	}
	if r.step > probes {
		return r.tell(told, now)
	}
	var questions []dnsmessage.Question
	for _, name := range []dnsmessage.Name{r.records[0].name, r.records[2].name} {
		questions = append(questions, dnsmessage.Question{Name: name, Type: dnsmessage.TypeALL, Class: dnsmessage.ClassINET | cacheFlush})
	}
	return r.packet(form{questions: questions, answers: claimed, authority: true})
}

// known tells whether the names are the box's by now: before, nobody is told.
func (r *responder) known() bool { return r.step > probes }

func (r *responder) tell(records set, now time.Time) []byte {
	for i := range r.records {
		if (records|r.also(records))&(1<<i) != 0 {
			r.sent[i] = now
		}
	}
	return r.packet(form{answers: records})
}

// goodbye takes back what was said, nil for nothing.
func (r *responder) goodbye() []byte {
	if !r.known() {
		return nil
	}
	return r.packet(form{answers: told, goodbye: true})
}

func (r *responder) packet(f form) []byte {
	p, err := r.build(f)
	if err != nil {
		r.Log.Error("mDNS", "err", err)
		return nil
	}
	return p
}

// handle takes a packet, and returns an answer to who sent it alone, or nil.
// Only who is in the box's network can be meant (11).
func (r *responder) handle(packet []byte, from netip.AddrPort, now time.Time) []byte {
	if !r.Address.Contains(from.Addr()) || from.Addr() == r.Address.Addr() || from.Port() == 0 {
		return nil
	}
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil || h.OpCode != 0 || h.RCode != dnsmessage.RCodeSuccess {
		return nil // 18.3, 18.11
	}
	if h.Response {
		if from.Port() == group.Port() { // 6
			r.hear(&p, from, now)
		}
		return nil
	}
	if !r.known() {
		return nil
	}
	q, err := r.read(&p)
	if err != nil {
		return nil
	}
	if q.contradicts {
		r.conflict(from, now)
	}
	wanted := (q.all | q.one) &^ q.known
	switch {
	case from.Port() != group.Port():
		return r.legacy(h, q, now)
	case len(q.questions) == 0 && r.asker == from.Addr():
		r.pending &^= q.known // the rest of what it knows already (7.2)
		return nil
	case wanted == 0:
		return nil
	}
	// One who wants an answer for itself gets it if all have had it lately (5.4).
	var alone set
	for i, rec := range r.records {
		bit := set(1) << i
		if q.one&^q.all&wanted&bit != 0 && now.Sub(r.sent[i]) < rec.ttlTime()/4 {
			alone |= bit
		}
	}
	r.toAll(wanted&^alone, h, q, from, now)
	if alone == 0 || !r.take(now) {
		return nil
	}
	return r.packet(form{answers: alone})
}

// legacy answers who does not speak mDNS, such as dig, as a server of DNS would
// (6.7).
func (r *responder) legacy(h dnsmessage.Header, q query, now time.Time) []byte {
	answers := (q.all | q.one) &^ q.known
	if answers == 0 || !r.take(now) {
		return nil
	}
	return r.packet(form{id: h.ID, questions: q.questions, answers: answers, legacy: true})
}

// toAll plans an answer. What others may have an answer to as well waits a
// little, so that not all speak at once, and longer where the asker has more to
// say (6, 7.2).
func (r *responder) toAll(records set, h dnsmessage.Header, q query, from netip.AddrPort, now time.Time) {
	if records == 0 {
		return
	}
	var wait time.Duration
	if records&(instance|serviceTypes) != 0 {
		wait = 20*time.Millisecond + rand.N(100*time.Millisecond)
	}
	if h.Truncated {
		wait = 400*time.Millisecond + rand.N(100*time.Millisecond)
	}
	apart := tellEvery
	if q.probe {
		apart = defendEvery
	}
	r.plan(records, now.Add(wait), apart, from.Addr())
}

func (r *responder) plan(records set, at time.Time, apart time.Duration, asker netip.Addr) {
	if r.pending == 0 {
		r.pending, r.at, r.apart, r.asker = records, at, apart, asker
		return
	}
	if r.asker != asker {
		r.asker = netip.Addr{}
	}
	r.pending |= records
	r.apart = min(r.apart, apart)
	if at.Before(r.at) {
		r.at = at
	}
}

// take allows so many answers to single askers, and no more.
func (r *responder) take(now time.Time) bool {
	r.tokens = min(burst, r.tokens+now.Sub(r.filled).Seconds()*perSecond)
	r.filled = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

// query is what a question packet says.
type query struct {
	questions   []dnsmessage.Question
	all, one    set // who is to have the answer: all, or the asker alone (5.4)
	known       set // the asker knows already (7.1)
	probe       bool
	contradicts bool // a probe claims one of the box's names for another
}

// read reads a question packet to its end: one that is not sound has no effect.
func (r *responder) read(p *dnsmessage.Parser) (query, error) {
	var q query
	for {
		question, err := p.Question()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return q, err
		}
		answer := r.answerTo(question)
		if answer == 0 || len(q.questions) == maxQuestions {
			continue
		}
		q.questions = append(q.questions, question)
		if question.Class&cacheFlush != 0 {
			q.one |= answer
		} else {
			q.all |= answer
		}
	}
	err := r.each(p.AnswerHeader, p.Answer, p.SkipAnswer, func(i int, h dnsmessage.ResourceHeader, same bool) {
		if same && h.TTL >= r.records[i].ttl/2 {
			q.known |= 1 << i
		}
	})
	if err != nil {
		return q, err
	}
	err = r.each(p.AuthorityHeader, p.Authority, p.SkipAuthority, func(i int, _ dnsmessage.ResourceHeader, same bool) {
		q.probe = true
		q.contradicts = q.contradicts || r.records[i].unique && !same
	})
	return q, err
}

// hear looks whether somebody else speaks of the box's records.
func (r *responder) hear(p *dnsmessage.Parser, from netip.AddrPort, now time.Time) {
	if p.SkipAllQuestions() != nil {
		return
	}
	conflict, forgotten := false, set(0)
	judge := func(i int, h dnsmessage.ResourceHeader, same bool) {
		switch {
		case r.records[i].unique && !same && h.TTL > 0:
			conflict = true
		case same && h.TTL < r.records[i].ttl/2: // 6.6: it would be forgotten too early
			forgotten |= 1 << i
		}
	}
	if r.each(p.AnswerHeader, p.Answer, p.SkipAnswer, judge) != nil || p.SkipAllAuthorities() != nil ||
		r.each(p.AdditionalHeader, p.Additional, p.SkipAdditional, judge) != nil {
		return
	}
	if conflict {
		r.conflict(from, now)
	}
	if forgotten != 0 && r.known() {
		r.plan(forgotten, now.Add(20*time.Millisecond+rand.N(100*time.Millisecond)), tellEvery, netip.Addr{})
	}
}

// conflict says again whose the names are, and to the owner that somebody else
// claims them.
func (r *responder) conflict(from netip.AddrPort, now time.Time) {
	r.warn(now, "mDNS: somebody else claims this box's name; it keeps it, since it is in its certificate", "name", r.Name, "who", from.Addr())
	if r.known() && now.Sub(r.repeated) >= repeatEvery {
		r.repeated = now
		r.plan(claimed, now, defendEvery, netip.Addr{})
	}
}

func (r *responder) warn(now time.Time, message string, args ...any) {
	if now.Sub(r.warned) >= warnEvery {
		r.warned = now
		r.Log.Warn(message, args...)
	}
}

// each goes through a section and finds the records that have the name and the
// type of one of the box's, and whether they say the same.
func (r *responder) each(
	header func() (dnsmessage.ResourceHeader, error), whole func() (dnsmessage.Resource, error), skip func() error,
	found func(i int, h dnsmessage.ResourceHeader, same bool),
) error {
	for {
		h, err := header()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil
		}
		if err != nil {
			return err
		}
		i := r.number(h)
		if i < 0 {
			if err := skip(); err != nil {
				return err
			}
			continue
		}
		rr, err := whole()
		if err != nil {
			return err
		}
		found(i, h, r.records[i].says(rr.Body))
	}
}

// number is that of the record with this name and type, -1 for none. What is
// derived from others, as NSEC is, nobody else speaks of.
func (r *responder) number(h dnsmessage.ResourceHeader) int {
	if h.Class&^cacheFlush != dnsmessage.ClassINET || h.Type == typeNSEC {
		return -1
	}
	for i, rec := range r.records {
		if rec.kind == h.Type && same(rec.name, h.Name) {
			return i
		}
	}
	return -1
}
