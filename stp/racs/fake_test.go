package racs_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
)

// fake is the server's end of a client's connection, played by the test.
type fake struct {
	t    *testing.T
	conn net.Conn
	br   *bufio.Reader
}

// newFake joins a client to a fake over a pipe, which has no buffer: a write
// waits until the other end reads.
func newFake(t *testing.T, options racs.Options) (*racs.Client, *fake) {
	t.Helper()
	ours, theirs := net.Pipe()
	client := racs.NewClient(ours, options)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		theirs.Close()
	})
	return client, &fake{t: t, conn: theirs, br: bufio.NewReader(theirs)}
}

// request reads one request and returns its name and commands. It is not for
// the test's own goroutine alone, so it reports and does not stop the test.
func (f *fake) request() (name string, commands []string) {
	for {
		line, err := f.br.ReadString('\n')
		if err != nil {
			f.t.Errorf("the fake server waits for a request: %v", err)
			return name, commands
		}
		line = strings.TrimSuffix(line, "\r\n")
		switch word, rest, _ := strings.Cut(line, " "); {
		case word == "BEGIN":
			name = rest
		case line == "END":
			return name, commands
		default:
			commands = append(commands, line)
		}
	}
}

func (f *fake) send(format string, args ...any) {
	if _, err := fmt.Fprintf(f.conn, format, args...); err != nil {
		f.t.Errorf("the fake server sends: %v", err)
	}
}

// answer reads one request and answers it with lines.
func (f *fake) answer(lines ...string) (commands []string) {
	name, commands := f.request()
	f.send("BEGIN %s\r\n%sEND\r\n", name, strings.Join(append(lines, ""), "\r\n"))
	return commands
}

func shortly(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
