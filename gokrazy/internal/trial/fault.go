//go:build linux && !boottest

package trial

import "context"

// misbehave is for tests.
func misbehave(context.Context) {}
