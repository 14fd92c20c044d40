package iso7816

import (
	"context"
	"os"
	"time"
)

// tape is a UART that plays what a card says, whatever the driver does. It
// echoes what is written and keeps it.
type tape struct {
	card   []Char   // not yet played
	later  [][]Char // what it says to further TPDUs
	echo   []Char
	sent   []byte
	silent bool // no echo
}

func (u *tape) Configure(Mode) error { return nil }
func (u *tape) SetBreak(bool) error  { return nil }
func (u *tape) Close() error         { return nil }
func (u *tape) String() string       { return "tape" }

func (u *tape) Write(_ context.Context, p []byte) error {
	u.sent = append(u.sent, p...)
	if len(u.card) == 0 && len(u.later) > 0 {
		u.card, u.later = u.later[0], u.later[1:]
	}
	for _, b := range p {
		if !u.silent {
			u.echo = append(u.echo, Char{Byte: b})
		}
	}
	return nil
}

// Read plays one character at a time. A look at what has come already finds
// the echo alone: the card speaks when it is waited for.
func (u *tape) Read(ctx context.Context, p []Char, deadline time.Time) (int, error) {
	from := &u.echo
	if len(*from) == 0 && deadline != past {
		from = &u.card
	}
	if len(*from) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	p[0] = (*from)[0]
	*from = (*from)[1:]
	return 1, ctx.Err()
}

// newTape plays one part for each TPDU.
func newTape(parts ...[]byte) *tape {
	u := &tape{}
	for _, p := range parts {
		u.later = append(u.later, chars(p))
	}
	return u
}

// chars are characters of good parity.
func chars(b []byte) []Char {
	c := make([]Char, len(b))
	for i := range b {
		c[i].Byte = b[i]
	}
	return c
}

// tapeLink is a link on a tape, so fast that it takes no time.
func tapeLink(u *tape) *link {
	return &link{uart: u, echo: !u.silent, etu: 1e-10, gap: charTime, guard: charTime, slack: time.Hour, last: time.Now()}
}
