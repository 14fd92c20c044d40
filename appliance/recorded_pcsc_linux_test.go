package main

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
	"github.com/cloud-of-se/tses/drivers/pcsc"
	"github.com/cloud-of-se/tses/stp/racs/racstest"
	"github.com/cloud-of-se/tses/stp/racs/server"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// The recorded sessions pass through RACS, the TSES, pcscd and vpcd. The real stack makes no difference: every session comes out as with
// scripted SEs in the same process, on T=0 too. What it could differ in does not
// occur in the recordings: commands and answers of more than 65,535 bytes, which
// vpcd's 16-bit lengths cannot have, and extended commands on T=0, which the
// driver makes TPDUs of, so that the card never answers 6700.
func TestRecordedSessionsThroughPCSC(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p := vpcd.Start(t, "ABCDE")
	host := pcsc.NewHost(pcsc.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	cards := racstest.Cards()
	ses := make(map[string]drivers.SE)
	for i := range 10 {
		seid, reader := fmt.Sprint(i), fmt.Sprintf("%c%d", 'A'+i/2, i%2)
		p.Insert(reader, cards[seid])
		se, err := host.Element(pcsc.Match{Reader: p.Reader(reader)})
		if err != nil {
			t.Fatal(err)
		}
		ses[seid] = se
	}
	host.Start(t.Context())
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	for seid, se := range ses {
		awaitCard(t, seid, se)
	}
	racstest.Replay(t, func(t *testing.T) *stptest.TSES {
		return stptest.Start(t, stptest.Options{SEs: ses, Aliases: racstest.Aliases(), Handler: &server.Server{}})
	}, racstest.Differences())
	commands := int64(0)
	for _, card := range cards {
		commands += card.Counts().Commands
	}
	if commands < 80 {
		t.Errorf("the cards got %d commands, the recordings have more", commands)
	}
}

// awaitCard waits until pcscd has noticed a card, and leaves it off.
func awaitCard(t *testing.T, seid string, se drivers.SE) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err = se.PowerOn(t.Context()); err == nil {
			if err := se.PowerOff(t.Context()); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s: %v", seid, err)
}
