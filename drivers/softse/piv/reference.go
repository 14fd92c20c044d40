package piv

import (
	"crypto/subtle"

	"github.com/cloud-of-se/tses/apdu"
)

const (
	defaultPIN   = "123456"
	defaultPUK   = "12345678"
	defaultTries = 3

	referenceLength = 8
	referenceMin    = 6
	padding         = 0xFF
)

// reference is the reference data of the PIN or the PUK with its retry
// counter (SP 800-73-4 part 2, 2.4.3).
type reference struct {
	value       [referenceLength]byte // padded with FF
	total, left byte                  // tries, left at most total
}

func newReference(value string, tries byte) reference {
	r := reference{total: tries, left: tries}
	n := copy(r.value[:], value)
	for i := n; i < len(r.value); i++ {
		r.value[i] = padding
	}
	return r
}

func (r *reference) isDefault(value string) bool {
	factory := newReference(value, defaultTries)
	return subtle.ConstantTimeCompare(r.value[:], factory.value[:]) == 1
}

// wellFormed tells whether v can become reference data: 6 to 8 bytes other
// than FF, then FF to 8.
func wellFormed(v []byte) bool {
	if len(v) != referenceLength {
		return false
	}
	n := len(v)
	for n > 0 && v[n-1] == padding {
		n--
	}
	for _, b := range v[:n] {
		if b == padding {
			return false
		}
	}
	return n >= referenceMin
}

// remaining is the status that tells the tries left. Its one digit cannot
// tell more than 15; GET METADATA tells the number.
func (r *reference) remaining() apdu.SW {
	return 0x63C0 | apdu.SW(min(r.left, 15))
}

// check takes one try, for good, and then compares. On success the try is not
// given back: the caller does that with the commit of what success brings.
func (a *application) check(r *reference, candidate []byte) error {
	if r.left == 0 {
		return apdu.SWAuthMethodBlocked
	}
	r.left--
	if err := a.commit(func() { r.left++ }); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(r.value[:], candidate) != 1 {
		return r.remaining()
	}
	return nil
}

// checkOld is the comparison of CHANGE REFERENCE DATA and RESET RETRY COUNTER,
// whose data field is what r is compared with and a new value, which it
// returns. The order of its answers is the standard's (SP 800-73-4 part 2,
// 3.2.2 and 3.2.3): a blocked reference is told first; a wrong one is counted
// whatever the new value is, which is how tools block one; and a new value that
// cannot be is told to who knows the old one alone, and leaves the tries as
// they were.
func (a *application) checkOld(r *reference, data []byte) (value []byte, err error) {
	if r.left == 0 {
		return nil, apdu.SWAuthMethodBlocked
	}
	if len(data) != 2*referenceLength {
		return nil, apdu.SWWrongData
	}
	current, value := data[:referenceLength], data[referenceLength:]
	before := r.left
	if err := a.check(r, current); err != nil {
		return nil, err
	}
	if wellFormed(value) {
		return value, nil
	}
	after := r.left
	r.left = before
	if err := a.commit(func() { r.left = after }); err != nil {
		return nil, err
	}
	return nil, apdu.SWWrongData
}

// replace gives the reference data a new value and all its tries.
func (r *reference) replace(value []byte) {
	copy(r.value[:], value)
	r.left = r.total
}
