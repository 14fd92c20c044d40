package chipbus

import (
	"errors"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/internal/t1"
)

// ErrIdentity is matched by the errors of the parsers of what a chip says about
// itself.
var ErrIdentity = errors.New("malformed communication parameters")

// Identity is what a chip says about itself when it starts.
type Identity struct {
	Raw        []byte // as it came
	Vendor     []byte // issuer identification number or vendor ID
	Historical []byte
	ATR        []byte // of ISO/IEC 7816-3, where it has one

	IFSC    int           // 0 where it says nothing
	MaxIFSC int           // what S(IFS) may ask for; 0 where there is no other than IFSC
	BWT     time.Duration // 0 where it says nothing
	EDC     t1.EDC        // where HasEDC
	HasEDC  bool
	Timing  Timing
}

// maxHistorical is the room for historical bytes in an answer to reset.
const maxHistorical = 15

// atr is an answer to reset of ISO/IEC 7816-3 for a chip that has none of its
// own: it offers T=1 and has the historical bytes, as far as there is room.
func (id Identity) atr(d *t1.Dialect) ([]byte, error) {
	if id.ATR != nil {
		return append([]byte(nil), id.ATR...), nil
	}
	historical := id.Historical[:min(len(id.Historical), maxHistorical)]
	if d.Bare != 0 { // as the grid boards' own servers show it
		return apdu.NewATR(historical).Bytes()
	}
	return apdu.NewATR(historical, 1).Bytes()
}

// parseIdentity reads what a chip of dialect d said. defaults are the timings
// before; what the chip does not tell stays.
func parseIdentity(d *t1.Dialect, kind Kind, b []byte, defaults Timing) (Identity, error) {
	switch d.Hello {
	case t1.HelloCIP:
		return ParseCIP(b, kind, defaults)
	case t1.HelloNXP:
		return ParseNXPATR(b, defaults)
	case t1.HelloATP:
		return ParseATP(b, defaults)
	case t1.HelloeSE:
		return ParseeSE(b, defaults)
	}
	id := Identity{Raw: append([]byte(nil), b...), Timing: defaults}
	id.Historical = id.Raw
	if d.Hello == t1.HelloISO {
		id.applyATR()
	}
	return id, nil
}

// directConvention is the TS that an answer to reset on a bus may leave out.
const directConvention = 0x3B

// applyATR takes what an answer to reset says about T=1, with TS or without.
// With a TCK it cannot be read both ways. One that cannot be read changes
// nothing.
func (id *Identity) applyATR() {
	raw := append([]byte(nil), id.Raw...)
	atr, err := apdu.ParseATR(raw)
	if err != nil {
		raw = append([]byte{directConvention}, raw...)
		atr, err = apdu.ParseATR(raw)
	}
	if err != nil {
		return
	}
	id.ATR, id.Historical = raw, atr.Historical
	if p := atr.T1(); p.IFSC > 0 && p.IFSC < 255 {
		id.IFSC = p.IFSC
	}
}

// fields reads a string of fields; after a field that is not there whole, bad
// is true and the rest is empty.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) take(n int) []byte {
	if n > len(f.rest) {
		f.rest, f.bad = nil, true
		return make([]byte, n)
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) byte() byte { return f.take(1)[0] }

func (f *fields) uint16() int {
	b := f.take(2)
	return int(b[0])<<8 | int(b[1])
}

// counted reads a length of one byte and as many bytes.
func (f *fields) counted() []byte { return f.take(int(f.byte())) }

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }
func us(n int) time.Duration { return time.Duration(n) * time.Microsecond }

// replace sets *field to value unless that is zero, which says nothing.
func replace[T int | int64 | time.Duration](field *T, value T) {
	if value != 0 {
		*field = value
	}
}
