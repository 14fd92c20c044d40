// Package needs is how tests say what they need.
package needs

import (
	"os"
	"testing"
)

// Missing skips a test that lacks something, and fails it where
// TSES_TEST_ALL=1 says that nothing may be skipped.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("TSES_TEST_ALL") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}
