// Package needs is how tests say what they need, and how much of them was
// asked for. The environment variable TSES_TEST_ALL has three values:
//
//	(none)  what needs Go alone; what lacks a program or takes long skips
//	1       everything once: what is missing fails; long runs do a share
//	full    everything, and long runs to their end
package needs

import (
	"os"
	"testing"
)

// All tells whether nothing may be skipped.
func All() bool { return os.Getenv("TSES_TEST_ALL") == "1" || Full() }

// Full tells whether what is bounded in a normal run (power cuts, storms,
// random commands) shall be done to its end.
func Full() bool { return os.Getenv("TSES_TEST_ALL") == "full" }

// Missing skips a test that lacks something, and fails it where nothing may be
// skipped.
func Missing(t testing.TB, why string) {
	t.Helper()
	if All() {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Asked skips a test that is run only where everything is asked for. why is
// what it costs.
func Asked(t testing.TB, why string) {
	t.Helper()
	if !All() {
		t.Skip(why + "; TSES_TEST_ALL=1 runs it")
	}
}

// Ended skips a test that is run only where everything is asked for to its
// end. why is what it costs, and what is run in its place.
func Ended(t testing.TB, why string) {
	t.Helper()
	if !Full() {
		t.Skip(why + "; TSES_TEST_ALL=full runs it")
	}
}
