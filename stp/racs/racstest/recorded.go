// Package racstest holds servers of RACS to sessions that were recorded with
// the draft author's own server.
package racstest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/stp/stptest"
)

//go:embed testdata/racs-author-server.jsonl
var recordings []byte

// count is how many recordings there are.
const count = 78

// A recording is one line of racs-author-server.jsonl: what clients sent to
// the draft author's server and what it answered, byte for byte.
type recording struct {
	Name     string
	Encoding string
	Sessions []struct {
		CN             string
		Send, Recv     string
		ClosedByServer bool     `json:"closed_by_server"`
		Chunks         []string `json:"send_chunks"`
	}
	Steps [][]any // [session, "open"|"send"|"recv"|"close"|"wait", text], where sessions interleave
}

// Cards are those that were behind the author's server, by SEID: 0 to 9. Alias
// 999 stands for 0.
func Cards() map[string]*driverstest.Scripted {
	cards := make(map[string]*driverstest.Scripted)
	for i := range 10 {
		card := driverstest.Options{Name: fmt.Sprint(i)}
		switch i {
		case 2:
			card.Card = driverstest.ChallengeCard
		case 9:
			card.Card = driverstest.T0Card
		}
		cards[card.Name] = driverstest.NewScripted(card)
	}
	return cards
}

// Aliases are the aliases of the recordings.
func Aliases() map[string]string { return map[string]string{"999": "0"} }

// users are the credentials of the recordings.
func users(ts *stptest.TSES) map[string]tls.Certificate {
	return map[string]tls.Certificate{
		"client": ts.Credential("client", access.User, "[0-9]", "999"),
		"bob":    ts.Credential("bob", access.User, "1", "4"),
		"admin":  ts.Credential("admin", access.User|access.Administrative),
	}
}

// Replay replays every recording against a TSES of its own, which start gives:
// with [Cards] and [Aliases], and with no credentials. What differs from the
// recording has to be in differences.
func Replay(t *testing.T, start func(t *testing.T) *stptest.TSES, differences map[string]Difference) {
	used := make(map[string]bool)
	lines := bufio.NewScanner(bytes.NewReader(recordings))
	lines.Buffer(nil, 1<<20)
	n := 0
	for ; lines.Scan(); n++ {
		var r recording
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		for i := range r.Sessions {
			used[fmt.Sprintf("%s/%d", r.Name, i)] = true
		}
		t.Run(r.Name, func(t *testing.T) { r.replay(t, start(t), differences) })
	}
	if err := lines.Err(); err != nil || n != count {
		t.Errorf("replayed %d recordings, %v; want %d", n, err, count)
	}
	for name := range differences {
		if !used[name] {
			t.Errorf("difference %q belongs to no recording", name)
		}
	}
}
