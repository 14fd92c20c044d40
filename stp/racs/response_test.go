package racs_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/cloud-of-se/tses/stp/racs"
)

var power = racs.Status{OK: true, Verb: racs.PowerOn, Line: 1, Text: "SEID 1 is powered on"}
var sw = racs.Status{OK: true, Verb: racs.APDU, Line: 2, Text: "9000"}

func TestReadResponse(t *testing.T) {
	tests := []struct {
		name, in string
		want     racs.Response
	}{
		{"one", "BEGIN r1\r\n+006 002 9000\r\nEND\r\n", racs.Response{Name: "r1", Statuses: []racs.Status{sw}}},
		{"two", "BEGIN r1\r\n+008 001 SEID 1 is powered on\r\n+006 002 9000\r\nEND\r\n", racs.Response{Name: "r1", Statuses: []racs.Status{power, sw}}},
		{"nameless", "BEGIN \r\nEND\r\n", racs.Response{}},
		{"nameless without its space", "BEGIN\r\nEND\r\n", racs.Response{}},
		{"LF alone", "BEGIN r1\n+006 002 9000\nEND\n", racs.Response{Name: "r1", Statuses: []racs.Status{sw}}},
	}
	for _, test := range tests {
		for how, reader := range map[string]func(io.Reader) io.Reader{
			"whole":     func(r io.Reader) io.Reader { return r },
			"bytes":     iotest.OneByteReader,
			"halves":    iotest.HalfReader,
			"data+EOF":  iotest.DataErrReader,
			"next kept": func(r io.Reader) io.Reader { return io.MultiReader(r, strings.NewReader("BEGIN next\r\nEND\r\n")) },
		} {
			t.Run(test.name+"/"+how, func(t *testing.T) {
				br := bufio.NewReaderSize(reader(strings.NewReader(test.in)), 16)
				got, err := racs.ReadResponse(br)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(&test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				next, err := racs.ReadResponse(br)
				if how == "next kept" && (err != nil || next.Name != "next") || how != "next kept" && err != io.EOF {
					t.Errorf("the next answer is %v, %v", next, err)
				}
			})
		}
	}
}

func TestReadResponseRefuses(t *testing.T) {
	long := strings.Repeat("A", racs.MaxAnswer+100_000)
	tests := []struct {
		name, in string
		want     error
	}{
		{"nothing", "", io.EOF},
		{"half a begin", "BEG", io.ErrUnexpectedEOF},
		{"no end", "BEGIN r1\r\n+006 002 9000\r\n", io.ErrUnexpectedEOF},
		{"half a status", "BEGIN r1\r\n+006 00", io.ErrUnexpectedEOF},
		{"another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n", racs.ErrNotRACS},
		{"begin with a tail", "BEGINX\r\n", racs.ErrNotRACS},
		{"begin with a long name", "BEGIN " + strings.Repeat("n", racs.MaxName+1) + "\r\nEND\r\n", racs.ErrNotRACS},
		{"begin with a control byte", "BEGIN \x1b\r\nEND\r\n", racs.ErrNotRACS},
		{"empty line", "BEGIN r1\r\n\r\nEND\r\n", racs.ErrNotRACS},
		{"begin in an answer", "BEGIN r1\r\nBEGIN r2\r\nEND\r\n", racs.ErrNotRACS},
		{"bad status", "BEGIN r1\r\n+106 002 9000\r\nEND\r\n", racs.ErrNotRACS},
		{"endless line", "BEGIN r1\r\n+006 001 " + long, racs.ErrNotRACS},
		{"endless answer", "BEGIN r1\r\n" + strings.Repeat("+006 001 9000\r\n", 100_000), racs.ErrNotRACS},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := racs.ReadResponse(bufio.NewReader(strings.NewReader(test.in)))
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestResponseHoldsTheLongestAPDU(t *testing.T) {
	text := strings.Repeat("00", 65536) + "9000"
	resp, err := racs.ReadResponse(bufio.NewReader(strings.NewReader("BEGIN r\r\n+006 001 " + text + "\r\nEND\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if last, ok := resp.Last(); !ok || last.Text != text {
		t.Errorf("got %d bytes of text, want %d", len(last.Text), len(text))
	}
}

func TestResponseErr(t *testing.T) {
	failed := racs.Status{Class: racs.InUse, Verb: racs.PowerOn, Line: 2, Text: "taken"}
	resp := racs.Response{Statuses: []racs.Status{power, failed}}
	if got, ok := errors.AsType[racs.Status](resp.Err()); !ok || got != failed {
		t.Errorf("Err is %v, want %v", resp.Err(), failed)
	}
	if got, ok := resp.At(1); !ok || got != power {
		t.Errorf("At(1) is %v, %v", got, ok)
	}
	if got, ok := resp.At(3); ok {
		t.Errorf("At(3) is %v, there is none", got)
	}
	if err := (&racs.Response{Statuses: []racs.Status{power}}).Err(); err != nil {
		t.Errorf("Err of a success is %v", err)
	}
}

func FuzzReadResponse(f *testing.F) {
	f.Add([]byte("BEGIN r1\r\n+008 001 on\r\n+006 002 9000\r\nEND\r\nBEGIN \r\n-300 000 x\r\nEND\r\n"), uint8(3))
	f.Add([]byte("BEGIN\nEND\nBEG"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		whole := readAll(in, bufio.NewReader(bytes.NewReader(in)))
		cut := readAll(in, bufio.NewReaderSize(&chunks{in, int(chunk)%8 + 1}, 16))
		if diff := cmp.Diff(whole, cut); diff != "" {
			t.Fatalf("the answers depend on how the bytes arrive (-whole +in chunks):\n%s", diff)
		}
	})
}

// readAll is every answer and the error's text at the end.
func readAll(in []byte, br *bufio.Reader) []string {
	var got []string
	for {
		resp, err := racs.ReadResponse(br)
		if err != nil {
			return append(got, err.Error())
		}
		got = append(got, fmt.Sprintf("%+v", *resp))
		if len(got) > len(in) {
			return append(got, "answers out of nothing")
		}
	}
}

// chunks gives its bytes n at a time.
type chunks struct {
	b []byte
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:min(c.n, len(c.b))])
	c.b = c.b[n:]
	return n, nil
}
