package main

import "bytes"

// lineStart is how much of a line the scanners look at: its first word, and
// more than the longest name behind BEGIN.
const lineStart = 128

// A lineScanner cuts bytes that come in any pieces into lines and keeps only
// the beginning of each.
type lineScanner struct {
	start   []byte
	midLine bool
}

// scan calls line with the beginning of each line that ends in b.
func (l *lineScanner) scan(b []byte, line func(start []byte)) {
	for len(b) > 0 {
		part, rest, ended := bytes.Cut(b, []byte{'\n'})
		l.start = append(l.start, part[:min(len(part), lineStart-len(l.start))]...)
		l.midLine = !ended
		if ended {
			line(bytes.TrimSuffix(l.start, []byte{'\r'}))
			l.start = l.start[:0]
		}
		b = rest
	}
}

// A scriptScanner follows a RACS script on its way to the server and knows
// what the server will do with it.
type scriptScanner struct {
	lines    lineScanner
	open     bool // a request
	requests int  // that have an END, and so an answer
	quit     bool // a request has QUIT: the server may close behind its answer
	broken   bool // out of step: the server answers once more and closes
}

func (s *scriptScanner) scan(b []byte) {
	s.lines.scan(b, func(line []byte) {
		words := bytes.FieldsFunc(line, func(r rune) bool { return r == ' ' })
		if len(words) == 0 || s.broken {
			return
		}
		switch word := string(words[0]); {
		case s.open && word == "END":
			s.open = false
			s.requests++
		case s.open == (word == "BEGIN"):
			s.broken = true // BEGIN in a request, or another line outside of one
			s.requests++
		case word == "BEGIN":
			s.open = true
		case word == "QUIT":
			s.quit = true
		}
	})
}

// An answerScanner counts the answers in what the server sends.
type answerScanner struct {
	lines   lineScanner
	answers int  // complete ones
	failed  bool // one has an error in it
}

func (a *answerScanner) scan(b []byte) {
	a.lines.scan(b, func(line []byte) {
		switch {
		case string(line) == "END":
			a.answers++
		case len(line) > 0 && line[0] == '-':
			a.failed = true
		}
	})
}
