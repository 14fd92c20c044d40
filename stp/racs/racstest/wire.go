package racstest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/stp/stptest"
)

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

// ReadAnswer reads one answer to its END.
func ReadAnswer(t testing.TB, c net.Conn) string {
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
		if strings.Contains(ReadAnswer(t, c), "+007") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the SE stays in use")
}
