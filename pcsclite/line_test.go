package pcsclite

import (
	"net"
	"testing"
	"testing/synctest"
)

// overPipe is a program's client on a pipe to the server, for tests in a
// bubble of time.
func overPipe(t *testing.T, s *Server) *Client {
	t.Helper()
	program, end := net.Pipe()
	s.start(end)
	c := &Client{conn: program}
	must(t, c.agree(t.Context()))
	m := establishBody{}
	must(t, c.call(t.Context(), cmdEstablish, &m, nil, &m.RV))
	c.id = m.Context
	return c
}

// A command that stands in line behind another one waits for a transaction, or
// learns of a reset, that came meanwhile.
func TestCommandInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		block := make(chan struct{})
		card := &fakeCard{block: block}
		r, err := s.Plug("one", card)
		must(t, err)
		must(t, r.Insert(testATR))
		var conns []*Connection
		for range 3 {
			conn, err := overPipe(t, s).Connect(t.Context(), "one", Shared, ProtocolAny)
			must(t, err)
			conns = append(conns, conn)
		}
		results := make(chan error, 2)
		send := func(conn *Connection) {
			_, err := conn.Transmit(t.Context(), []byte{0, 0xA4, 4, 0, 0})
			results <- err
		}
		go send(conns[0])
		synctest.Wait() // with the card
		go send(conns[1])
		synctest.Wait() // in line
		must(t, conns[2].Begin(t.Context()))
		close(block)
		must(t, <-results)
		synctest.Wait()
		select {
		case err := <-results:
			t.Fatalf("a command came into another's transaction: %v", err)
		default:
		}
		must(t, conns[2].End(t.Context(), Reset))
		wantCode(t, <-results, WResetCard)
		must(t, s.Close())
	})
}

// An answer of a card that was exchanged behind the command is not the answer
// of the card that is there.
func TestCardIsExchangedBehindACommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		block := make(chan struct{})
		r, err := s.Plug("one", &fakeCard{block: block})
		must(t, err)
		must(t, r.Insert(testATR))
		conn, err := overPipe(t, s).Connect(t.Context(), "one", Shared, ProtocolAny)
		must(t, err)
		result := make(chan error, 1)
		go func() { _, err := conn.Transmit(t.Context(), []byte{0, 0xA4, 4, 0, 0}); result <- err }()
		synctest.Wait() // with the card
		r.Remove()
		must(t, r.Insert(testATR))
		close(block)
		wantCode(t, <-result, WRemovedCard)
		wantCode(t, conn.Status(t.Context()), WRemovedCard)
		must(t, s.Close())
	})
}

func TestWaitForATransactionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		r, err := s.Plug("one", &fakeCard{})
		must(t, err)
		must(t, r.Insert(testATR))
		a := overPipe(t, s)
		holder, err := a.Connect(t.Context(), "one", Shared, ProtocolAny)
		must(t, err)
		must(t, holder.Begin(t.Context()))
		_, err = overPipe(t, s).Connect(t.Context(), "one", Shared, ProtocolAny)
		wantCode(t, err, ESharingViolation)
		must(t, s.Close())
	})
}
