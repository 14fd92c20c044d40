package stp_test

import (
	"sync"
	"testing"
)

// Tests that wait more than they work run all at the same time: t.Parallel is for
// as many as there are processors.
func TestThoseThatWait(t *testing.T) {
	var running sync.WaitGroup
	for name, test := range map[string]func(*testing.T){
		"ExpiryEndsSessions":    testExpiryEndsSessions,
		"Drain":                 testDrain,
		"SessionLimit":          testSessionLimit,
		"RevokedWhileItWaits":   testRevokedWhileItWaits,
		"RevokedCAEndsSessions": testRevokedCAEndsSessions,
		"ExpiredCAEndsSessions": testExpiredCAEndsSessions,
		"StandingHandshakes":    testStandingHandshakes,
	} {
		running.Go(func() { t.Run(name, test) })
	}
	running.Wait()
}
