package apdu

import (
	"errors"
	"fmt"
)

// ErrMalformed is matched by every error of the parsers and encoders of this
// package: the bytes are no APDU (or data object, or answer to reset) and must
// not reach a chip.
var ErrMalformed = errors.New("malformed APDU")

// malformedError says what kind of thing was read and what is wrong with it.
type malformedError struct{ what, why string }

func (e *malformedError) Error() string        { return "malformed " + e.what + ": " + e.why }
func (e *malformedError) Is(target error) bool { return target == ErrMalformed }

func malformed(what, format string, args ...any) error {
	return &malformedError{what, fmt.Sprintf(format, args...)}
}
