package cardsim

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"periph.io/x/conn/v3/physic"
)

// phase is what a card is at.
type phase uint8

const (
	dead     phase = iota // no power, no clock, or RST low
	opening               // the answer to reset is sent; PPS or a first command may come
	choosing              // in a PPS request
	speaking              // in the protocol
	mute                  // does nothing until a reset
)

// protocol is T=0 or T=1 on the card's side.
type protocol interface {
	// receive takes a character whose leading edge was at lead; bad is wrong
	// parity. now is when it is complete.
	receive(now, lead time.Duration, b byte, bad bool)
	// wake is called at the time that card.alarm was set to.
	wake(now time.Duration)
}

// card is the chip: contacts, characters, reset, PPS.
type card struct {
	opts Options
	wire *wire
	atr  apdu.ATR
	cold answer // to a cold reset
	hot  answer // to a warm one

	vcc, rst, clk, io bool
	ready             time.Duration // since when clock and RST low are there
	warm              bool          // RST was high since VCC came

	phase    phase
	protocol int
	proto    protocol
	inverse  bool
	rate     apdu.Rate
	etu      float64 // nanoseconds
	gap      float64 // etu between characters that it sends
	pps      []byte

	received time.Duration // leading edge of the last character from the terminal
	sent     time.Duration // leading edge of the last character to it
	fresh    bool          // nothing was received since the last character sent
	alarm    time.Duration // when proto.wake is due, 0 never

	violations []string
}

// answer is an answer to reset.
type answer struct {
	raw    []byte
	parsed apdu.ATR
}

func newAnswer(raw []byte) (answer, error) {
	parsed, err := apdu.ParseATR(raw)
	if r := parsed.Rate(); err == nil && (r.Fi == 0 || r.Di == 0) {
		if _, specific := parsed.Specific(); specific {
			err = fmt.Errorf("specific mode with a reserved rate: %X", raw)
		}
	}
	return answer{raw, parsed}, err
}

func newCard(w *wire, opts Options) (c *card, err error) {
	c = &card{opts: opts, wire: w, io: true, gap: 12}
	c.setRate(apdu.ParseRate(0x11))
	if c.cold, err = newAnswer(opts.ATR); err != nil {
		return nil, err
	}
	if opts.Sends != nil {
		c.cold.raw = opts.Sends
	}
	if c.hot = c.cold; opts.Warm != nil {
		c.hot, err = newAnswer(opts.Warm)
	}
	return c, err
}

func (c *card) hertz() float64 { return float64(c.opts.Clock) / float64(physic.Hertz) }

// clocks is the time of n clock cycles.
func (c *card) clocks(n float64) time.Duration {
	return time.Duration(n / c.hertz() * float64(time.Second))
}

func (c *card) setRate(r apdu.Rate) {
	c.rate = r
	c.etu = float64(r.Fi) / float64(r.Di) / c.hertz() * 1e9
}

func (c *card) violate(format string, args ...any) {
	if len(c.violations) < 100 {
		c.violations = append(c.violations, fmt.Sprintf("%v: ", c.wire.now())+fmt.Sprintf(format, args...))
	}
}

// Contacts (ISO/IEC 7816-3, 6.2.1 and 6.4).

func (c *card) setVCC(on bool) {
	switch {
	case on && c.rst:
		c.violate("VCC comes while RST is high")
	case on && c.clk:
		c.violate("VCC comes while there is a clock")
	case !on && c.vcc && (c.rst || c.clk || c.io):
		c.violate("VCC goes with RST %v, CLK %v, I/O %v", c.rst, c.clk, c.io)
	}
	c.vcc, c.warm = on, false
	c.stop()
}

func (c *card) setCLK(on bool) {
	if on == c.clk {
		return
	}
	if on && (!c.vcc || c.rst || !c.io) {
		c.violate("the clock starts with VCC %v, RST %v, I/O %v", c.vcc, c.rst, c.io)
	}
	if !on && c.rst {
		c.violate("the clock stops while RST is high")
	}
	c.clk, c.ready = on, c.wire.now()
	c.stop()
}

func (c *card) setIO(high bool) {
	if high && !c.vcc {
		c.violate("I/O is high without VCC")
	}
	if !high && c.clk {
		c.violate("I/O is held low while there is a clock")
	}
	c.io = high
}

func (c *card) setRST(high bool) {
	if high == c.rst {
		return
	}
	now := c.wire.now()
	c.rst = high
	c.stop()
	if !high {
		c.ready = now
		return
	}
	if !c.vcc || !c.clk {
		c.violate("RST goes high with VCC %v, CLK %v", c.vcc, c.clk)
		return
	}
	if now-c.ready < c.clocks(400) {
		c.violate("RST is low for %v only", now-c.ready)
	}
	c.answerToReset(now, c.warm)
	c.warm = true
}

// stop is the end of whatever the card was at.
func (c *card) stop() {
	c.phase, c.proto, c.alarm = dead, nil, 0
	c.wire.silence(c.wire.now())
}

// answerToReset begins anew; RST went high at now, or the card restarts.
func (c *card) answerToReset(now time.Duration, warm bool) {
	a := c.cold
	if warm {
		a = c.hot
	}
	if _, err := c.opts.Brain.PowerOn(context.Background()); err != nil {
		c.fallSilent() // a chip that does not come up
		return
	}
	atr := a.parsed
	c.atr, c.inverse, c.phase, c.pps, c.alarm, c.gap = atr, atr.Inverse, opening, nil, 0, 12
	c.setRate(apdu.ParseRate(0x11))
	c.protocol = atr.Protocols()[0]
	c.received = now
	c.send(now+c.clocks(5000), a.raw)
	if specific, ok := atr.Specific(); ok {
		c.protocol = specific.T
		c.setRate(atr.Rate())
		c.speak()
	}
}

// send puts characters on the wire, the first one at start.
func (c *card) send(start time.Duration, p []byte) {
	for i, b := range p {
		c.sent = after(start, float64(i)*c.gap, c.etu)
		c.wire.fromCard(c.sent, c.encode(b), c.etu)
	}
	c.fresh = true
}

// encode is the convention of the card (8.1): the parity makes the number of
// logic ones even, and in inverse convention low is one.
func (c *card) encode(b byte) frame {
	if c.inverse {
		raw := bits.Reverse8(^b)
		return frame(raw) | (evenParity(raw) ^ 0x100)
	}
	return frame(b) | evenParity(b)
}

func (c *card) decode(f frame) (b byte, bad bool) {
	raw, parity := byte(f), f&0x100
	if c.inverse {
		return bits.Reverse8(^raw), parity == evenParity(raw)
	}
	return raw, parity != evenParity(raw)
}

// step does the next thing that is due by then, and tells whether there was one.
func (c *card) step(until time.Duration) bool {
	w := c.wire
	switch {
	case c.alarm > 0 && c.alarm <= until && (len(w.toCard) == 0 || c.alarm <= w.toCard[0].at):
		now := c.alarm
		c.alarm = 0
		c.proto.wake(now)
	case len(w.toCard) > 0 && w.toCard[0].at <= until:
		a := w.toCard[0]
		w.toCard = w.toCard[:copy(w.toCard, w.toCard[1:])]
		c.take(a)
	default:
		return false
	}
	return true
}

// take is a character from the terminal.
func (c *card) take(a arrival) {
	if c.phase == dead || c.phase == mute {
		return
	}
	b, bad := c.decode(a.frame)
	if !c.wire.fits(c.etu) || a.garbled {
		bad = true
	}
	c.checkGuard(a.lead, bad)
	c.received, c.fresh = a.lead, false
	if c.phase == opening {
		c.phase = choosing
		if b != 0xFF || bad {
			c.speak()
		}
	}
	if c.phase == choosing {
		c.choose(a.at, b, bad)
		return
	}
	c.proto.receive(a.at, a.lead, b, bad)
}

// checkGuard holds the terminal to the guard times: 12 etu and N within a
// direction (11 with T=1 and N=255), 16 after a character of the card on T=0
// and 22 on T=1.
func (c *card) checkGuard(lead time.Duration, bad bool) {
	if bad {
		return // it may be no character at all
	}
	want, since := 12.0, c.received
	switch n := c.atr.ExtraGuardTime(); {
	case c.fresh && c.protocol == 1 && c.phase == speaking:
		want, since = 22, c.sent
	case c.fresh:
		want, since = 16, c.sent
	case n == 255 && c.protocol == 1 && c.phase == speaking:
		want = 11
	case n < 255:
		want += float64(n)
	}
	if got := float64(lead-since) / c.etu; got < want-0.05 {
		c.violate("a character after %.2f etu, at least %.0f", got, want)
	}
}

// speak enters the protocol.
func (c *card) speak() {
	c.phase = speaking
	if c.protocol == 1 {
		c.proto = newT1(c)
	} else {
		c.proto = newT0(c)
	}
}

// restart is what a card does whose supply dips.
func (c *card) restart(now time.Duration) {
	c.wire.silence(now)
	c.answerToReset(now, true)
}

// fallSilent lasts until the next reset.
func (c *card) fallSilent() { c.phase, c.alarm = mute, 0 }

// run lets the brain execute a command.
func (c *card) run(command []byte) []byte {
	response, err := c.opts.Brain.Transmit(context.Background(), command)
	if err != nil || len(response) < 2 {
		return []byte{0x6F, 0x00}
	}
	return response
}

func (c *card) misbehaviour(command []byte) Misbehaviour {
	if c.opts.Misbehave == nil {
		return Behaves
	}
	return c.opts.Misbehave(command)
}

// thinking is how long the brain takes.
func (c *card) thinking(command []byte) time.Duration {
	if c.opts.Time == nil {
		return 0
	}
	return c.opts.Time(command)
}
