package server_test

import (
	"testing"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/stp/racs/racstest"
	"github.com/cloud-of-se/tses/stp/racs/server"
	"github.com/cloud-of-se/tses/stp/stptest"
)

func TestRecordedSessions(t *testing.T) {
	racstest.Replay(t, func(t *testing.T) *stptest.TSES {
		ses := make(map[string]drivers.SE)
		for seid, card := range racstest.Cards() {
			ses[seid] = card
		}
		return stptest.Start(t, stptest.Options{SEs: ses, Aliases: racstest.Aliases(), Handler: &server.Server{}})
	}, racstest.Differences())
}
