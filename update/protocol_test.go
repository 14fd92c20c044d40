package update

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func reader(s string) *bufio.Reader { return bufio.NewReaderSize(strings.NewReader(s), MaxLine+1) }

func TestLines(t *testing.T) {
	var b bytes.Buffer
	want := Status{Box: "tses-1a2b", Start: "s", Running: System{"v1", 5}, Slot: "A", Last: &Attempt{System{"v0", 4}, "tried"}}
	if err := errors.Join(WriteLine(&b, WordGo, nil), WriteLine(&b, WordStatus, want), WriteLine(&b, WordNo, "no\nway")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReaderSize(&b, MaxLine+1)
	if word, rest, err := ReadLine(r); word != WordGo || len(rest) > 0 || err != nil {
		t.Errorf("got %q, %q, %v", word, rest, err)
	}
	var got Status
	word, rest, err := ReadLine(r)
	if word != WordStatus || err != nil {
		t.Errorf("got %q, %v", word, err)
	}
	if err := Decode(rest, &got); err != nil || got.Last == nil || *got.Last != *want.Last || got.Running != want.Running {
		t.Errorf("got %+v, %v", got, err)
	}
	if word, rest, err := ReadLine(r); word != WordNo || string(rest) != "no way" || err != nil {
		t.Errorf("got %q, %q, %v", word, rest, err)
	}
	if _, _, err := ReadLine(r); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestBadLines(t *testing.T) {
	for line, want := range map[string]error{
		strings.Repeat("x", MaxLine+10) + "\n": ErrProtocol,
		"LONGWORD {}\n":                        ErrProtocol,
		"HTTP/1.1 400 Bad\n":                   ErrProtocol,
		"STATUS":                               io.ErrUnexpectedEOF,
	} {
		if word, _, err := ReadLine(reader(line)); !errors.Is(err, want) {
			t.Errorf("%.20q: %q, %v; want %v", line, word, err, want)
		}
	}
	for _, rest := range []string{"", "{", "{} {}", `{"olde":"v"}`} {
		if err := Decode([]byte(rest), new(Asked)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: %v, want %v", rest, err, ErrProtocol)
		}
	}
	var b bytes.Buffer
	if err := WriteLine(&b, WordStatus, Status{Box: strings.Repeat("x", MaxLine)}); err == nil || b.Len() > 0 {
		t.Errorf("a long line: %v", err)
	}
	// A reason is cut rather than lost.
	if err := WriteLine(&b, WordNo, strings.Repeat("ü", MaxLine)); err != nil || b.Len() > MaxLine {
		t.Errorf("a long reason: %v, %d bytes", err, b.Len())
	}
}

func FuzzReadLine(f *testing.F) {
	f.Add("STATUS {\"box\":\"b\"}\n")
	f.Add("NO why\n")
	f.Fuzz(func(t *testing.T, text string) {
		word, rest, err := ReadLine(reader(text))
		if err != nil {
			return
		}
		if len(word) > len(WordStatus) || len(word)+len(rest) > MaxLine || strings.ContainsAny(word, " \n") {
			t.Errorf("got %q, %q", word, rest)
		}
		var s Status
		_ = Decode(rest, &s) // whatever it is, it must not panic
	})
}
