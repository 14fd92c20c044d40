package update

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Protocol is the name by which a client asks for updates in ALPN. Inside TLS
// the client sends one request, a line:
//
//	STATUS                 the server answers one line STATUS and a [Status]
//	PUT and an [Asked]     behind it the head of a bundle
//
// To PUT the server answers GO, whereupon the client sends the parts; then any
// number of lines AT and a [Progress], and at last DONE and a [Status], whereupon
// the box restarts. Instead of any answer it can send NO and a reason, which is
// the end. Requests and answers end with LF, and what stands behind the word is
// JSON but for that of NO.
const Protocol = "tses-update/1"

// The words of the protocol.
const (
	WordStatus = "STATUS"
	WordPut    = "PUT"
	WordGo     = "GO"
	WordAt     = "AT"
	WordDone   = "DONE"
	WordNo     = "NO"
)

// MaxLine bounds a line in bytes, without its LF.
const MaxLine = 4096

// Progress is how far an update has come.
type Progress struct {
	Step  string `json:"step"` // "writing" or "checking"
	Bytes int64  `json:"bytes"`
}

// Status is what a box tells of itself.
type Status struct {
	Box string `json:"box"`
	// Start is another after each start of the box.
	Start string `json:"start"`
	// Running is what runs, and Slot where: "A" or "B".
	Running System `json:"running"`
	Slot    string `json:"slot"`
	// Trial says that it will not run again unless it is found well.
	Trial bool `json:"trial"`
	// Last is the update in the other slot, nil for none. It is "armed" when
	// the next start tries it, "tried" when it has had its start. As the box runs
	// another, it was not well then, or it was the one before.
	Last *Attempt `json:"last,omitempty"`
}

// System is a root file system by its name.
type System struct {
	Version string `json:"version"`
	Built   int64  `json:"built"` // Unix time in seconds
}

// Attempt is a system with what became of it.
type Attempt struct {
	System
	State string `json:"state"`
}

// ErrProtocol says that the other side does not speak this protocol.
var ErrProtocol = errors.New("the other side does not speak " + Protocol)

// WriteLine writes a line: a word and, unless it is nil, what stands behind it.
func WriteLine(w io.Writer, word string, v any) error {
	line := []byte(word)
	switch v := v.(type) {
	case nil:
	case string:
		line = append(append(line, ' '), oneLine(v)...)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		line = append(append(line, ' '), text...)
	}
	if len(line) > MaxLine {
		return fmt.Errorf("%s: a line of %d bytes, the limit is %d", word, len(line), MaxLine)
	}
	_, err := w.Write(append(line, '\n'))
	return err
}

// oneLine makes a text printable, and short enough.
func oneLine(s string) string {
	const most = MaxLine / 2
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// ReadLine reads a line with not a byte more, and splits off its word. What
// stands behind it is only good until the next read. It fails with
// [ErrProtocol] where there is no such line.
func ReadLine(r *bufio.Reader) (word string, rest []byte, err error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(line) > MaxLine+1:
		return "", nil, fmt.Errorf("%w: a line is longer than %d bytes", ErrProtocol, MaxLine)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return "", nil, io.ErrUnexpectedEOF
	case err != nil:
		return "", nil, err
	}
	head, rest, _ := bytes.Cut(line[:len(line)-1], []byte(" "))
	if len(head) > len(WordStatus) {
		return "", nil, fmt.Errorf("%w: it says %.40q", ErrProtocol, line)
	}
	return string(head), rest, nil
}

// Decode reads what stands behind a word.
func Decode(rest []byte, v any) error {
	if err := strictJSON(rest, v); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}
