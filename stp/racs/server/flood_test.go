package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/stp/racs/racstest"
	"github.com/cloud-of-se/tses/stp/racs/server"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// logText is a log that many write to.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines are those that hold all of the words.
func (l *logText) lines(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		has := true
		for _, word := range words {
			has = has && strings.Contains(line, word)
		}
		if has {
			n++
		}
	}
	return n
}

// One session that is refused again and again, or powers on and off, fills no
// log: each credential has so many lines of each kind, and one that says how many
// more there were. Another's are all there.
func TestFloodOfRefusals(t *testing.T) {
	log := new(logText)
	ts := stptest.Start(t, stptest.Options{
		SEs:     map[string]drivers.SE{"se0": newInstant(), "se1": newInstant()},
		Handler: &server.Server{}, Log: log,
	})
	refused, powered := 5_000, 500
	if needs.Full() {
		refused, powered = 127_000, 20_000
	}
	flood := ts.Dial(ts.Credential("mallory", access.User))
	powerOn(t, flood, "se0")
	request := "BEGIN\r\nAPDU se0 80E60C00024F00\r\nEND\r\n" // INSTALL
	go func() {
		// What is wrong with it is seen in the answers.
		_, _ = io.WriteString(flood, strings.Repeat(request, refused)+
			strings.Repeat("BEGIN\r\nSHUTDOWN se0\r\nPOWERON se0\r\nEND\r\n", powered)+"BEGIN\r\nQUIT\r\nEND\r\n")
	}()
	answers, err := io.ReadAll(flood)
	if got := bytes.Count(answers, []byte("\r\n-606 001 ")); got != refused || err != nil {
		t.Errorf("%d APDUs of %d are refused, %v", got, refused, err)
	}
	quiet := ts.Dial(ts.Credential("alice", access.User))
	powerOn(t, quiet, "se1")
	if got := ask(t, quiet, request); !strings.Contains(got, "-306 ") {
		t.Errorf("got %q", got)
	}
	if got := ask(t, quiet, strings.Replace(request, "se0", "se1", 1)); !strings.Contains(got, "-606 ") {
		t.Errorf("got %q", got)
	}
	if err := ts.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		words []string
		want  int
	}{
		{[]string{"msg=refused", "client=mallory"}, 30},
		{[]string{`msg="power on"`, "client=mallory"}, 30},
		{[]string{`msg="lines were left out"`, "client=mallory"}, 3},
		{[]string{`msg="lines were left out"`, "client=mallory", "of=refused", fmt.Sprintf("number=%d ", refused-30)}, 1},
		{[]string{`msg="lines were left out"`, "client=mallory", `of="power on"`, fmt.Sprintf("number=%d ", powered+1-30)}, 1},
		{[]string{"msg=refused", "client=alice"}, 1},
		{[]string{"client=alice"}, 4},
	} {
		if got := log.lines(tt.words...); got != tt.want {
			t.Errorf("%d lines with %v, want %d", got, tt.words, tt.want)
		}
	}
	if size := log.b.Len(); size > 100<<10 {
		t.Errorf("the log has %d bytes", size)
	}
}

func ask(t *testing.T, c net.Conn, send string) string {
	t.Helper()
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	return racstest.ReadAnswer(t, c)
}
