package racstest

import (
	"crypto/tls"
	"fmt"
	"io"
	"testing"

	"github.com/cloud-of-se/tses/stp/stptest"
)

// replay runs one recording against a TSES.
func (r recording) replay(t *testing.T, ts *stptest.TSES, differences map[string]Difference) {
	users := users(ts)
	conns := make([]*tls.Conn, len(r.Sessions))
	got := make([]string, len(r.Sessions))
	closed := make([]bool, len(r.Sessions))
	want := make([]string, len(r.Sessions))
	wantClosed := make([]bool, len(r.Sessions))
	for i, s := range r.Sessions {
		want[i], wantClosed[i] = s.Recv, s.ClosedByServer
		if d, ok := differences[fmt.Sprintf("%s/%d", r.Name, i)]; ok {
			if masked(d.Recv) == masked(s.Recv) && d.Closed == s.ClosedByServer {
				t.Errorf("session %d: the difference is none: %s", i, d.Reason)
			}
			want[i], wantClosed[i] = d.Recv, d.Closed
		}
	}
	open := func(i int) {
		if conns[i] == nil {
			conns[i] = ts.Dial(users[r.Sessions[i].CN])
		}
	}
	// finish reads what is left: QUIT tells when everything is answered.
	finish := func(i int) {
		if conns[i] == nil {
			return
		}
		rest, end := readOut(conns[i], want[i] == "" && !wantClosed[i])
		got[i] += rest
		closed[i] = end
	}
	for _, step := range r.steps() {
		switch step.what {
		case "open":
			open(step.session)
		case "send":
			open(step.session)
			if _, err := io.WriteString(conns[step.session], latin1(step.text)); err != nil {
				t.Logf("session %d: send: %v", step.session, err) // closed by the server, as recorded
			}
		case "recv":
			// One answer, whatever it says: END ends it.
			got[step.session] += ReadAnswer(t, conns[step.session])
		case "close":
			finish(step.session)
			conns[step.session].Close()
			conns[step.session] = nil
			waitFree(t, ts, users["admin"])
		}
	}
	for i := range conns {
		finish(i)
	}
	for i := range r.Sessions {
		if masked(got[i]) != masked(latin1(want[i])) || closed[i] != wantClosed[i] {
			t.Errorf("session %d (%s):\nsent %.300q\ngot  %.300q closed %v\nwant %.300q closed %v", i, r.Sessions[i].CN, r.Sessions[i].Send, got[i], closed[i], want[i], wantClosed[i])
		}
	}
}

type step struct {
	session int
	what    string
	text    string
}

// steps is the order of events; where none is recorded, each session sends
// what it has to say at once.
func (r recording) steps() []step {
	var steps []step
	for i, s := range r.Sessions {
		if r.Steps == nil {
			steps = append(steps, step{i, "send", s.Send})
		}
	}
	for _, raw := range r.Steps {
		s := step{what: raw[1].(string)}
		if n, ok := raw[0].(float64); ok {
			s.session = int(n)
		}
		if text, ok := raw[2].(string); ok {
			s.text = text
		}
		// The author's server answers a byte at a time here; ours when the
		// lines are whole. What comes is read at the end.
		if s.what == "recv" && (r.Name == "byte-by-byte" || r.Name == "partial-line-3") {
			continue
		}
		steps = append(steps, s)
	}
	return steps
}
