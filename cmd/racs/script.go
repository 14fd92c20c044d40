package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/internal/plain"
	"github.com/cloud-of-se/tses/stp/racs"
)

// script sends a RACS script as it is and prints what comes back as it came.
func (p *program) script(ctx context.Context, args []string) error {
	if len(args) > 1 {
		return usageError("run takes one file, or none for standard input")
	}
	input := p.stdin
	if len(args) == 1 {
		file, err := os.Open(args[0])
		if err != nil {
			return fileError(fmt.Errorf("script: %w", err))
		}
		defer file.Close() // read only: closing it loses nothing
		input = file
	}
	config, err := p.config()
	if err != nil {
		return err
	}
	conn, err := racs.DialTLS(ctx, p.server, config, p.options())
	if err != nil {
		return err
	}
	player := newPlayer(conn, p.stdout, p.timeout)
	if isTerminal(p.stdout) {
		player.out = plain.NewWriter(p.stdout)
	}
	defer player.stop(ctx)
	go player.print()
	go player.readScript(input)
	return player.play(ctx)
}

// player sends a script over a connection. It has two helpers: print ends with
// the connection, readScript when the input ends or, because a read of an
// input cannot be ended from here, with its next line.
type player struct {
	conn    *racs.Conn
	out     io.Writer
	timeout time.Duration // of an answer

	script scriptScanner
	chunks chan []byte   // of the script, closed at its end
	unread error         // why the script could not be read; set before chunks is closed
	over   chan struct{} // closed by stop
	news   chan struct{} // something came, or the connection has ended
	ended  chan struct{} // closed when print is done

	mu     sync.Mutex
	answer answerScanner
	err    error // of the connection, io.EOF for a regular end
}

func newPlayer(conn *racs.Conn, out io.Writer, timeout time.Duration) *player {
	if timeout == 0 {
		timeout = 60 * time.Second
	}
	return &player{
		conn: conn, out: out, timeout: timeout,
		chunks: make(chan []byte), over: make(chan struct{}),
		news: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// stop ends the connection and waits until nothing is printed any more, or
// until a signal ends the wait for a standard output that nobody reads.
func (p *player) stop(ctx context.Context) {
	close(p.over)
	// The answers are there; how the connection ends changes nothing.
	_ = p.conn.Close()
	select {
	case <-p.ended:
	case <-ctx.Done():
	}
}

// readScript hands out the script as it comes.
func (p *player) readScript(input io.Reader) {
	defer close(p.chunks)
	for {
		chunk := make([]byte, 32<<10)
		n, err := input.Read(chunk)
		if n > 0 {
			select {
			case p.chunks <- chunk[:n]:
			case <-p.over:
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.unread = err
			return
		}
	}
}

// print copies what the server sends, and counts the answers in it.
func (p *player) print() {
	defer close(p.ended)
	buf := make([]byte, 32<<10)
	for {
		n, err := p.conn.Read(buf)
		if n > 0 {
			if _, failed := p.out.Write(buf[:n]); failed != nil {
				err = usageError(fmt.Sprintf("standard output: %v", failed))
			}
		}
		p.mu.Lock()
		p.answer.scan(buf[:n])
		p.err = err
		p.mu.Unlock()
		select {
		case p.news <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// play sends the script and waits for the answers.
func (p *player) play(ctx context.Context) error {
	// A signal must end a write to a server that does not read, too. Nothing
	// else can be done about a connection that is not to be closed.
	stopOnSignal := context.AfterFunc(ctx, func() { _ = p.conn.Close() })
	defer stopOnSignal()
	chunks := p.chunks
	patience := time.NewTimer(p.timeout)
	defer patience.Stop()
	for {
		answers, connErr := p.progress()
		waiting := p.script.requests - answers
		if connErr != nil {
			return p.closed(waiting, connErr, chunks == nil)
		}
		if chunks == nil && waiting <= 0 {
			return p.done()
		}
		var overdue <-chan time.Time
		if waiting > 0 {
			overdue = patience.C
		}
		select {
		case chunk, more := <-chunks:
			if !more {
				chunks = nil
				chunk = p.lastLineEnd()
			}
			if p.script.requests == answers {
				patience.Reset(p.timeout)
			}
			if p.send(chunk); p.script.broken {
				chunks = nil // the server reads no more
			}
		case <-p.news:
			patience.Reset(p.timeout)
		case <-overdue:
			return fmt.Errorf("no answer within %v: %w", p.timeout, context.DeadlineExceeded)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *player) progress() (answers int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answer.answers, p.err
}

// lastLineEnd is what the last line of the script lacks, or the server would
// wait for the rest of it.
func (p *player) lastLineEnd() []byte {
	if p.script.lines.midLine {
		return []byte("\r\n")
	}
	return nil
}

// send sends a piece of the script. That it cannot be sent shows when the
// answers are read: what the server said last is there.
func (p *player) send(chunk []byte) {
	p.script.scan(chunk)
	if len(chunk) == 0 {
		return
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil {
		return
	}
	_, _ = p.conn.Write(chunk)
}

// done is the result when all answers are there.
func (p *player) done() error {
	switch {
	case p.unread != nil:
		return usageError(fmt.Sprintf("the script cannot be read: %v", p.unread))
	case p.script.open && !p.script.broken:
		return usageError("the script ends inside a request; put END behind its last command")
	}
	return p.result()
}

// closed is the result when the server has closed the connection while that
// many requests had no answer.
func (p *player) closed(waiting int, err error, atEnd bool) error {
	if _, output := errors.AsType[usageError](err); output {
		return err
	}
	expected := p.script.quit || p.script.broken || atEnd && !p.script.open
	switch {
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("the connection failed: %w", err)
	case waiting > 0 && p.script.quit:
		return fmt.Errorf("the server closed the connection, as QUIT asked for; %d more requests of the script have no answer", waiting)
	case waiting > 0:
		return fmt.Errorf("%w: it closed the connection; %d requests have no answer and may have been executed or not", racs.ErrServerGone, waiting)
	case !expected:
		return fmt.Errorf("%w: it closed the connection before the end of the script", racs.ErrServerGone)
	}
	return p.result()
}

// result is the exit status by what was printed.
func (p *player) result() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answer.failed {
		return told(exitServerError)
	}
	return nil
}
