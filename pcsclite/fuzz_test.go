package pcsclite

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// piped is a server without a socket and the program's end of a pipe to it.
func piped(t testing.TB) (*Server, *Reader, net.Conn) {
	t.Helper()
	s := newServer(Options{CallTimeout: 5 * time.Second})
	r, err := s.Plug("one", &fakeCard{})
	must(t, err)
	must(t, r.Insert(testATR))
	program, end := net.Pipe()
	s.start(end)
	return s, r, program
}

// FuzzSession sends a program's bytes, whatever they are: the session ends
// with them, and nothing of it stays.
func FuzzSession(f *testing.F) {
	var whole []byte
	for _, m := range []struct {
		cmd  command
		body any
		data []byte
	}{
		{cmdVersion, &versionBody{Major: 4, Minor: 4}, nil}, {cmdEstablish, &establishBody{}, nil},
		{cmdReaders, nil, nil}, {cmdWait, nil, nil}, {cmdStopWait, nil, nil}, {cmdReaderEvents, nil, nil}, {cmdArraySize, nil, nil}, {cmdArray, nil, nil},
		{cmdConnect, &connectBody{Share: 2, Protocols: 3}, nil}, {cmdTransmit, &transmitBody{SendLen: 4}, []byte{0, 0xA4, 4, 0}},
		{cmdControl, &controlBody{SendLen: 1}, []byte{1}}, {cmdGetAttrib, &attribBody{}, nil}, {cmdRelease, &releaseBody{}, nil},
	} {
		b, err := appendRequest(nil, m.cmd, m.body, m.data)
		must(f, err)
		f.Add(b)
		whole = append(whole, b...)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, sent []byte) {
		s, r, program := piped(t)
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = io.Copy(io.Discard, program) // ends with the session
		}()
		_, _ = program.Write(sent) // the server may hang up in the middle
		must(t, program.Close())
		must(t, s.Close())
		<-read
		checkQuiet(t, s, r)
	})
}

// checkQuiet checks that no program has left anything.
func checkQuiet(t *testing.T, s *Server, r *Reader) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.handles)+len(r.handles)+len(s.sessions)+len(s.contexts) != 0 || r.lock != nil || r.powered() || r.state.Sharing != 0 || len(r.io) != 1 {
		t.Errorf("left behind: handles %d and %d, sessions %d, contexts %d, lock %v, state %+v", len(s.handles), len(r.handles), len(s.sessions), len(s.contexts), r.lock, r.state)
	}
}

// FuzzPrograms has two programs and a user who pulls the card do what the
// bytes say: no call fails in another way than with a code, the card is called
// by one at a time, and nothing stays.
func FuzzPrograms(f *testing.F) {
	f.Add([]byte{0, 1, 8, 2, 16, 3, 24, 9, 5, 64, 65, 13})
	f.Add([]byte{0, 8, 2, 10, 1, 9, 0x42, 0x21, 0x63, 7, 15, 64, 3, 65})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 40 {
			return
		}
		s, err := Listen(Options{Dir: t.TempDir()})
		must(t, err)
		r, err := s.Plug("one", &fakeCard{})
		must(t, err)
		must(t, r.Insert(testATR))
		ctx := within(t)
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx) }()
		programs := []*program{{c: dial(t, s)}, {c: dial(t, s)}}
		for _, op := range ops {
			switch {
			case op == 64:
				r.Remove()
			case op == 65:
				must(t, r.Insert(testATR))
			default:
				programs[op>>3&1].do(t, op)
			}
		}
		must(t, s.Close())
		must(t, <-served)
		checkQuiet(t, s, r)
	})
}

// program is one of the programs of FuzzPrograms.
type program struct {
	c    *Client
	conn *Connection
}

// do does what the lower bits of op say, with the upper ones as its argument.
// It begins no transaction where that would wait for the other's.
func (p *program) do(t *testing.T, op byte) {
	ctx, arg := within(t), uint32(op>>4)
	if p.conn == nil {
		conn, err := p.c.Connect(ctx, "one", Share(arg%4), Protocol(arg|1))
		p.check(t, err)
		if err == nil {
			p.conn = conn
		}
		return
	}
	var err error
	switch op & 7 {
	case 0, 1:
		_, err = p.conn.Transmit(ctx, bytes.Repeat([]byte{0xEE}, int(arg)))
	case 2:
		err = p.conn.Reconnect(ctx, Share(arg%4), ProtocolAny, Disposition(arg>>2))
	case 3:
		if err = p.conn.Disconnect(ctx, Disposition(arg%5)); err == nil {
			p.conn = nil
		}
	case 4:
		m := handleBody{Handle: p.conn.card}
		err = p.c.call(ctx, cmdStatus, &m, nil, &m.RV)
	case 5:
		err = p.conn.End(ctx, Disposition(arg%5))
	case 6:
		_, err = p.conn.Attrib(ctx, AttrATR)
	case 7:
		_, err = p.c.Readers(ctx)
	}
	p.check(t, err)
}

func (p *program) check(t *testing.T, err error) {
	t.Helper()
	if err != nil && p.c.broken != nil {
		t.Fatalf("the connection broke: %v", err)
	}
}

// FuzzState holds that what is read of a reader's record is what was written.
func FuzzState(f *testing.F) {
	f.Add(appendState(nil, ReaderState{Name: "one", Events: 1, Status: Present, Sharing: -1, ATR: testATR, Protocol: T1}))
	f.Add(make([]byte, stateSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		if again, err := parseState(appendState(nil, s)); err != nil || !same([]ReaderState{again}, []ReaderState{s}) {
			t.Errorf("%+v became %+v, %v", s, again, err)
		}
	})
}

// FuzzRequest reads one message: what is accepted is within its bounds.
func FuzzRequest(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0x12, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		req, err := readRequest(bytes.NewReader(b))
		if err == nil && (len(req.body) != bodySizes[req.cmd] || len(req.payload) > MaxTransfer) {
			t.Errorf("command %d with %d and %d bytes", req.cmd, len(req.body), len(req.payload))
		}
	})
}

// FuzzATR reads an answer to reset: one of the protocols that are known comes
// out of whatever goes in, or none where none was asked for.
func FuzzATR(f *testing.F) {
	f.Add(testATR, uint32(3))
	f.Fuzz(func(t *testing.T, atr []byte, asked uint32) {
		switch p := choose(atr, Protocol(asked)); {
		case p == 0 && Protocol(asked)&(ProtocolAny|anyOld) == 0:
		case (p == T0 || p == T1) && Protocol(asked)&(p|anyOld) != 0:
		default:
			t.Errorf("choose(%X, %#x) = %d", atr, asked, p)
		}
	})
}

// FuzzClient answers a client with bytes: it ends with an error or an answer.
func FuzzClient(f *testing.F) {
	f.Add([]byte{4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, sent []byte) {
		end, server := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, server) }() // ends with the pipe
		go func() {
			_, _ = server.Write(sent) // the client may hang up in the middle
			_ = server.Close()
		}()
		c := &Client{conn: end}
		if c.agree(within(t)) == nil {
			if _, err := c.Readers(within(t)); err == nil {
				conn := &Connection{client: c}
				_, _ = conn.Transmit(within(t), nil) // all that matters is that it ends
				_, _ = c.Watch(within(t), nil)
			}
		}
		_ = c.Close()
	})
}
