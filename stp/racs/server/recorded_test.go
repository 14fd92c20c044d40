package server_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/stp/racs/server"
	"github.com/cloud-of-se/tses/stp/stptest"
)

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

// A difference is an answer that this server gives otherwise, on purpose.
type difference struct {
	recv   string // '*' stands for words
	closed bool
	reason string
}

// differences is every recorded session that comes out differently, by name
// and session. What is not here has to come out as recorded.
var differences = map[string]difference{
	"alias/0":                     {"BEGIN a\r\n+008 001 *\r\n+008 002 *\r\n+006 003 9000\r\n+006 004 00019000\r\nEND\r\n", false, "an alias is the same SE, and has the application that was selected under its other name"},
	"apdu-1-byte/0":               {"BEGIN a\r\n-506 003 *\r\nEND\r\n", false, "what is no command APDU does not reach the chip"},
	"apdu-cla-0c/0":               {"BEGIN a\r\n+006 002 9000\r\nEND\r\n", false, "the CLA byte is passed through; secure messaging is between user and SE"},
	"apdu-hex-noise/0":            {"BEGIN a\r\n-506 003 *\r\nEND\r\n", false, "hex digits are strict: the author skips what is none"},
	"apdu-no-select/0":            {"BEGIN a\r\n+006 002 00010203040506079000\r\nEND\r\n", false, "a SIM is used without SELECT by AID; only what a security domain acts upon waits for an application"},
	"apdu-off/0":                  {"BEGIN a\r\n-306 001 *\r\nEND\r\n", false, "powered off is class 3, cannot be executed now"},
	"apdu-select-p2/0":            {"BEGIN a\r\n-506 002 *\r\nEND\r\n", false, "its Lc is wrong: it does not reach the chip. Every P2 of SELECT is the card's to judge"},
	"apdu-takes-lock/0":           {"BEGIN t\r\n-306 001 *\r\nEND\r\n", false, "powered off is class 3"},
	"apdu-takes-lock/1":           {"BEGIN t\r\n+008 001 *\r\nEND\r\n", false, "an APDU to an SE that is off takes no lock"},
	"append-memory/0":             {appendMemory(), false, "an answer may have 1 MiB; the author runs out of memory in line 16"},
	"byte-by-byte/0":              {"BEGIN a\r\n+001 000 *\r\nEND\r\n", false, "a line may arrive split over any number of records"},
	"continue-lowercase/0":        {"BEGIN a\r\n-406 003 *\r\nEND\r\n", false, "an unknown option is an error"},
	"continue-no-equal/0":         {"BEGIN a\r\n-506 003 *\r\nEND\r\n", false, "a malformed option is an error"},
	"continue-twice/0":            {"BEGIN a\r\n-506 003 *\r\nEND\r\n", false, "a repeated option is an error"},
	"crlf-blank-inside/0":         {"BEGIN a\r\n+002 001 0.3\r\nEND\r\n", false, "blank lines are ignored"},
	"flush-blank/0":               {"BEGIN a\r\n-408 001 *\r\nEND\r\nBEGIN t\r\n+009 001 ok\r\nEND\r\n", false, "blank lines are ignored"},
	"flush-then-ok/0":             {"BEGIN a\r\n-403 001 *\r\nEND\r\nBEGIN b\r\n+002 001 0.3\r\nEND\r\n", false, "the code of SET-VERSION is 03"},
	"in-use/1":                    {"BEGIN t\r\n-708 001 *\r\nEND\r\nBEGIN t\r\n-706 001 *\r\nEND\r\nBEGIN t\r\n-705 001 *\r\nEND\r\nBEGIN t\r\n-211 001 *\r\nEND\r\n", false, "GET-SEN is not implemented"},
	"lf-blank-first/0":            {"BEGIN a\r\n+001 000 *\r\nEND\r\n", false, "blank lines are ignored"},
	"list-admin-all/0":            {"BEGIN a\r\n+004 001 0 1 2 3 4 5 6 7 8 9 999 \r\nEND\r\n", false, "an administrator's list is not empty"},
	"missing-begin/0":             {"BEGIN \r\n-300 000 *\r\nEND\r\n", true, "a name-less answer has its space"},
	"more-overflow/0":             {"BEGIN a\r\n+006 003 " + patternHex(5000) + "9000\r\nEND\r\n", false, "MORE joins up to 65,536 bytes"},
	"nul-first/0":                 {"BEGIN \r\n-300 000 *\r\nEND\r\n", true, "a line outside of a request is answered before the connection closes"},
	"partial-line-3/0":            {"BEGIN abcdef\r\n+002 001 0.3\r\nEND\r\n", false, "a line may arrive split over any number of records"},
	"reset-off-locks/0":           {"BEGIN t\r\n-305 001 *\r\nEND\r\n", false, "powered off is class 3"},
	"reset-off-locks/1":           {"BEGIN t\r\n+008 001 *\r\nEND\r\n", false, "RESET of an SE that is off takes no lock"},
	"set-version/0":               {"BEGIN a\r\n+003 001 *\r\nEND\r\n", false, "the code of SET-VERSION is 03"},
	"set-version-missing/0":       {"BEGIN a\r\n-503 001 *\r\nEND\r\n", false, "the code of SET-VERSION is 03"},
	"shutdown-by-other/0":         {"BEGIN t\r\n+006 002 9000\r\nEND\r\nBEGIN t\r\n+006 001 9000\r\nEND\r\n", false, "nobody powers off another's SE"},
	"shutdown-by-other/1":         {"BEGIN t\r\n-707 001 *\r\nEND\r\nBEGIN t\r\n-708 001 *\r\nEND\r\n", false, "nobody powers off another's SE"},
	"spaces-line-inside/0":        {"BEGIN a\r\n+002 001 0.3\r\nEND\r\n", false, "blank lines are ignored"},
	"tabs/0":                      {"BEGIN \r\n-300 000 *\r\nEND\r\n", true, "a name-less answer has its space"},
	"unknown-after-good/0":        {"BEGIN a\r\n-100 003 *\r\nEND\r\n", false, "an unknown command is class 1 and the connection stays"},
	"unknown-command-lowercase/0": {"BEGIN a\r\n-100 001 *\r\nEND\r\n", false, "an unknown command is class 1 and the connection stays"},
}

// appendMemory is twenty answers of 256 bytes.
func appendMemory() string {
	var b strings.Builder
	b.WriteString("BEGIN a\r\n")
	for line := 3; line < 23; line++ {
		fmt.Fprintf(&b, "+006 %03d %s9000\r\n", line, patternHex(256))
	}
	b.WriteString("END\r\n")
	return b.String()
}

func patternHex(n int) string { return fmt.Sprintf("%X", driverstest.Pattern(n)) }

// startRecorded runs a server with the SEs and users of the recordings.
func startRecorded(t *testing.T) (*stptest.TSES, map[string]tls.Certificate) {
	ses := make(map[string]drivers.SE)
	for i := range 10 {
		card := driverstest.Options{Name: fmt.Sprint(i)}
		switch i {
		case 2:
			card.Card = driverstest.ChallengeCard
		case 9:
			card.Card = driverstest.T0Card
		}
		ses[card.Name] = driverstest.NewScripted(card)
	}
	ts := stptest.Start(t, stptest.Options{SEs: ses, Aliases: map[string]string{"999": "0"}, Handler: &server.Server{}})
	return ts, map[string]tls.Certificate{
		"client": ts.Credential("client", access.User, "[0-9]", "999"),
		"bob":    ts.Credential("bob", access.User, "1", "4"),
		"admin":  ts.Credential("admin", access.User|access.Administrative),
	}
}

func TestRecordedSessions(t *testing.T) {
	f, err := os.Open("testdata/racs-author-server.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	used := make(map[string]bool)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	count := 0
	for ; lines.Scan(); count++ {
		var r recording
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		for i := range r.Sessions {
			used[fmt.Sprintf("%s/%d", r.Name, i)] = true
		}
		t.Run(r.Name, func(t *testing.T) { replay(t, r) })
	}
	if err := lines.Err(); err != nil || count != 78 {
		t.Errorf("replayed %d recordings, %v; want 78", count, err)
	}
	for name := range differences {
		if !used[name] {
			t.Errorf("difference %q belongs to no recording", name)
		}
	}
}

// replay runs one recording against a server of its own.
func replay(t *testing.T, r recording) {
	ts, users := startRecorded(t)
	conns := make([]*tls.Conn, len(r.Sessions))
	got := make([]string, len(r.Sessions))
	closed := make([]bool, len(r.Sessions))
	want := make([]string, len(r.Sessions))
	wantClosed := make([]bool, len(r.Sessions))
	for i, s := range r.Sessions {
		want[i], wantClosed[i] = s.Recv, s.ClosedByServer
		if d, ok := differences[fmt.Sprintf("%s/%d", r.Name, i)]; ok {
			if masked(d.recv) == masked(s.Recv) && d.closed == s.ClosedByServer {
				t.Errorf("session %d: the difference is none: %s", i, d.reason)
			}
			want[i], wantClosed[i] = d.recv, d.closed
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
			got[step.session] += readAnswer(t, conns[step.session])
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

// latin1 turns a recorded string, one character a byte, into its bytes.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// words is the free text of a result line, all but the data of 002, 004, 006
// and 009.
var words = regexp.MustCompile(`(?m)^(\+0(?:01|03|05|07|08|1\d)|-\d{3}) (\d{3,})( [^\r\n]*)?`)

func masked(recv string) string { return words.ReplaceAllString(recv, "$1 $2 *") }

// readAnswer reads one answer to its END.
func readAnswer(t testing.TB, c net.Conn) string {
	t.Helper()
	defer c.SetReadDeadline(time.Time{})
	var b strings.Builder
	one := make([]byte, 1)
	for !strings.HasSuffix(b.String(), "\nEND\r\n") {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(one); err != nil {
			t.Fatalf("after %q: %v", b.String(), err)
		}
		b.Write(one)
	}
	return b.String()
}

// readOut reads what is still to come, and tells whether the server has closed
// the connection behind it. That it stays open is shown by an answer to one
// more request, or, where quiet, by nothing for a while: there the recording
// ends inside of a line.
func readOut(c net.Conn, quiet bool) (rest string, closed bool) {
	if quiet {
		c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		b, err := io.ReadAll(c)
		return string(b), !errors.Is(err, os.ErrDeadlineExceeded)
	}
	const probe = "BEGIN probe\r\nGET-VERSION\r\nEND\r\n"
	const reply = "BEGIN probe\r\n+002 001 0.3\r\nEND\r\n"
	if _, err := io.WriteString(c, probe); err != nil && !errors.Is(err, net.ErrClosed) {
		closed = true
	}
	var b strings.Builder
	buf := make([]byte, 4096)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		n, err := c.Read(buf)
		b.Write(buf[:n])
		if s, ok := strings.CutSuffix(b.String(), reply); ok {
			return s, false
		}
		if err != nil {
			return b.String(), true
		}
	}
}

// waitFree waits until no SE belongs to anybody: the session that was closed
// has ended at the server too.
func waitFree(t *testing.T, ts *stptest.TSES, admin tls.Certificate) {
	t.Helper()
	c := ts.Dial(admin)
	for range 200 {
		io.WriteString(c, "BEGIN\r\nPOWERON 1\r\nSHUTDOWN 1\r\nEND\r\n")
		if strings.Contains(readAnswer(t, c), "+007") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the SE stays in use")
}
