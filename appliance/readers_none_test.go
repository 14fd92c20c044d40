//go:build !pcsc

package main

import (
	"strings"
	"testing"
)

// A TSES without PC/SC says what is missing where readers are asked for, to the
// log and to who wants the SE, and says nothing otherwise.
func TestWithoutPCSC(t *testing.T) {
	const tag = "-tags pcsc"
	s := serveTSES(t, "-config", writeConfig(t, "[pcsc]\nreaders = true\n[[element]]\nseid = \"sim1\"\ndriver = \"pcsc\"\nreader = \"*\"\n"))
	if got := s.log.String(); strings.Count(got, tag) != 2 {
		t.Errorf("the log says %q", got)
	}
	c := s.mustOpen(t, "user")
	if got, err := c.ask("POWERON sim1"); err != nil || !strings.HasPrefix(got, "-808 001 ") || !strings.Contains(got, tag) {
		t.Errorf("POWERON: %q, %v", got, err)
	}
	if got := serveTSES(t).log.String(); strings.Contains(got, "pcsc") {
		t.Errorf("the log of a TSES that needs no readers says %q", got)
	}
}
