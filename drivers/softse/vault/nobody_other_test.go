//go:build !linux

package vault

import "testing"

// asNobody calls f; run the tests as a user whom the modes of files bind.
func asNobody(_ *testing.T, f func()) { f() }
