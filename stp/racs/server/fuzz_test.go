package server_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/stp/racs"
	"github.com/cloud-of-se/tses/stp/racs/server"
)

// recorder is an SE that remembers what reached it. It answers with its own
// name, so that an answer of the wrong one shows.
type recorder struct {
	*instant
	got [][]byte
}

func newRecorder(name string) *recorder {
	return &recorder{instant: &instant{answer: append([]byte(name), 0x90, 0x00)}}
}

func (r *recorder) Transmit(_ context.Context, command []byte) ([]byte, error) {
	r.got = append(r.got, bytes.Clone(command))
	return r.answer, nil
}

// chunks gives its bytes in pieces whose sizes the cuts say.
type chunks struct {
	data, cuts []byte
	n          int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	size := len(c.data)
	if len(c.cuts) > 0 {
		size = min(size, 1+int(c.cuts[c.n%len(c.cuts)]))
		c.n++
	}
	n := copy(p, c.data[:size])
	c.data = c.data[n:]
	return n, nil
}

// runSession feeds the bytes to a session on fresh SEs se0 and se1.
func runSession(t *testing.T, data, cuts []byte) (out []byte, ses [2]*recorder) {
	ses = [2]*recorder{newRecorder("se0"), newRecorder("se1")}
	session := server.NewTestSession(t, access.User, map[string]drivers.SE{"se0": ses[0], "se1": ses[1]})
	defer session.Close()
	out, held, _ := server.ServeBytes(context.Background(), &server.Server{}, session, &chunks{data: data, cuts: cuts})
	if limit := 2*racs.MaxLine + 2*racs.MaxAnswer; held > limit {
		t.Errorf("the session holds %d bytes of buffers, more than %d", held, limit)
	}
	return out, ses
}

// answerForm is what every answer looks like, whatever was asked.
var answerForm = regexp.MustCompile(`^(?:BEGIN [^\r\n]*\r\n(?:[+-]\d{3} \d{3,}(?: [^\r\n]*)?\r\n)+END\r\n)*$`)

// checkSession runs the bytes whole and in pieces and holds what comes to what
// may come.
func checkSession(t *testing.T, data, cuts []byte) []byte {
	out, ses := runSession(t, data, nil)
	cut, cutSEs := runSession(t, data, cuts)
	if !bytes.Equal(out, cut) {
		t.Errorf("the answer depends on the records:\nwhole %.500q\ncut   %.500q", out, cut)
	}
	if !answerForm.Match(out) {
		t.Errorf("no answers: %.500q", out)
	}
	for i, se := range ses {
		if fmt.Sprint(se.got) != fmt.Sprint(cutSEs[i].got) {
			t.Errorf("what reaches se%d depends on the records", i)
		}
		for _, command := range se.got {
			if _, err := apdu.Parse(command); err != nil {
				t.Errorf("se%d got %X: %v", i, command, err)
			}
			if !sent(data, fmt.Sprintf("se%d", i), command) {
				t.Errorf("se%d got %X, which nobody sent to it", i, command)
			}
		}
	}
	return out
}

// sent tells whether a command can come from a line for the SE: it stands in
// one, or is a GET RESPONSE or another FETCH.
func sent(data []byte, seid string, command []byte) bool {
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		words := strings.Fields(string(bytes.ReplaceAll(line, []byte("\r"), nil)))
		if len(words) < 3 || words[0] != "APDU" || words[1] != seid {
			continue
		}
		if b, err := hex.DecodeString(words[2]); err == nil && bytes.Equal(b, command) {
			return true
		}
		if strings.Contains(string(line), "MORE=90") {
			return true
		}
	}
	return false
}

var seeds = []string{
	"BEGIN a\r\nPOWERON se0\r\nAPDU se0 00A4040000\r\nEND\r\n",
	"BEGIN\nPOWERON se0 APPEND\nPOWERON se1 APPEND\nAPDU se0 00B0000010 APPEND\nAPDU se1 00B0000010 MORE=90 CONTINUE=9000\nSHUTDOWN se0\nEND\n",
	"BEGIN a\nRESET se0 WARM\nEND\nBEGIN b\nLIST\nEND\nBEGIN c\nQUIT\nEND\nBEGIN d\nEND\n",
	"BEGIN a\nECHO  x  APPEND\n\nGET-VERSION\nSET-VERSION 0.3\nFOO\nskipped\nEND\nBEGIN t\nECHO ok\nEND\n",
	"\x00BEGIN\n", "BEGIN \x00\nEND\n", "BEGIN a\nBEGIN b\n", "LIST\n", "BEGIN\tb\n", "BEGIN a\rEND\r",
	"BEGIN a\nPOWERON se0\nAPDU se0 00B0000010 FETCH=80F20000 MORE=90\nEND\n",
	"BEGIN a\nPOWERON se0\nAPDU se0 00B0000010 RAW\nAPDU se0 00B0000010 RAW MORE=90\nEND\n",
	"BEGIN \xE9\xFF\nECHO \x80\nEND\n",
}

// FuzzSession is a whole session: any bytes, cut at any place into records.
func FuzzSession(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), []byte{0, 3, 1})
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte) { checkSession(t, data, cuts) })
}

// FuzzRequest is a request with any lines, and the one after it is in step.
func FuzzRequest(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), []byte{7})
	}
	f.Fuzz(func(t *testing.T, body, cuts []byte) {
		var lines [][]byte
		for line := range bytes.SplitSeq(body, []byte("\n")) {
			switch verb, _, _ := strings.Cut(strings.Trim(strings.TrimSuffix(string(line), "\r"), " "), " "); verb {
			case "BEGIN", "END", "QUIT":
			default:
				lines = append(lines, line)
			}
		}
		data := "BEGIN a\n" + string(bytes.Join(lines, []byte("\n"))) + "\nEND\nBEGIN t\nECHO ok\nEND\n"
		out := checkSession(t, []byte(data), cuts)
		if want := "BEGIN t\r\n+009 001 ok\r\nEND\r\n"; !strings.HasSuffix(string(out), want) {
			t.Errorf("the next request is out of step: %.500q", out)
		}
	})
}

// TestAllocations holds an APDU in a batch to what it may allocate.
func TestAllocations(t *testing.T) {
	const n, limit = 100, 6
	request, _ := batch(n)
	session := server.NewTestSession(t, access.User, map[string]drivers.SE{"se0": newInstant()})
	if _, _, err := session.PowerOn(context.Background(), "se0"); err != nil {
		t.Fatal(err)
	}
	got := testing.AllocsPerRun(50, func() {
		if _, _, err := server.ServeBytes(context.Background(), &server.Server{}, session, bytes.NewReader(request)); err != nil {
			t.Fatal(err)
		}
	})
	if got /= n; got > limit {
		t.Errorf("%.2f allocations per APDU, want at most %d", got, limit)
	}
}
