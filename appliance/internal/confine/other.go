//go:build !linux || !(amd64 || arm64)

package confine

// Enter fails with [ErrUnsupported].
func Enter(Rules) (Cage, error) { return Cage{}, ErrUnsupported }

// Begun is false: nothing was.
func Begun() bool { return false }

// Settle does nothing where nothing was entered.
func Settle() Report { return nil }
