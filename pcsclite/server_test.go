package pcsclite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// within is the bound of everything that a test does.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func dial(t testing.TB, s *Server) *Client {
	t.Helper()
	c, err := Dial(within(t), s.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // some tests have closed it
	return c
}

func open(t testing.TB, c *Client, reader string, share Share) *Connection {
	t.Helper()
	conn, err := c.Connect(within(t), reader, share, ProtocolAny)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, want Code) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// eventually waits for what another goroutine or process brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("never: " + what)
}

func TestCardIsPoweredForItsPrograms(t *testing.T) {
	card := &fakeCard{}
	s, _ := serve(t, map[string]Card{"one": card})
	a, b := dial(t, s), dial(t, s)
	first, second := open(t, a, "one", Shared), open(t, b, "one", Shared)
	if got, err := first.Transmit(within(t), []byte{0, 0x84, 0, 0, 8}); err != nil || len(got) != 10 {
		t.Fatalf("GET CHALLENGE: %X, %v", got, err)
	}
	must(t, first.Disconnect(within(t), Leave))
	if ons, offs, _ := card.count(); ons != 1 || offs != 0 {
		t.Errorf("with one program left: %d times on, %d off; want 1, 0", ons, offs)
	}
	must(t, second.Disconnect(within(t), Leave))
	if ons, offs, _ := card.count(); ons != 1 || offs != 1 {
		t.Errorf("with no program left: %d times on, %d off; want 1, 1", ons, offs)
	}
	states, err := a.Readers(within(t))
	must(t, err)
	if s := states[0]; s.Status != Present || !bytes.Equal(s.ATR, testATR) || s.Sharing != 0 || s.Protocol != 0 {
		t.Errorf("at rest: %+v", s)
	}
}

func TestProgramThatGoesLeavesNothing(t *testing.T) {
	card := &fakeCard{}
	s, _ := serve(t, map[string]Card{"one": card})
	a, b := dial(t, s), dial(t, s)
	dying, staying := open(t, a, "one", Shared), open(t, b, "one", Shared)
	must(t, dying.Begin(within(t)))
	must(t, a.Close()) // as a program that is killed inside a transaction
	err := staying.Begin(within(t))
	if err != nil && !errors.Is(err, WResetCard) {
		t.Fatal(err)
	}
	eventually(t, "the card is reset", func() bool { _, _, resets := card.count(); return resets == 1 })
	wantCode(t, staying.Status(within(t)), WResetCard)
	must(t, staying.Reconnect(within(t), Shared, ProtocolAny, Leave))
	must(t, staying.Begin(within(t)))
	must(t, b.Close())
	eventually(t, "the card is off", func() bool { _, offs, _ := card.count(); return offs == 1 })
}

func TestTransactionKeepsOthersOut(t *testing.T) {
	s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
	a, b := open(t, dial(t, s), "one", Shared), open(t, dial(t, s), "one", Shared)
	must(t, a.Begin(within(t)))
	must(t, a.Begin(within(t))) // they nest
	_, err := b.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
	wantCode(t, err, ESharingViolation)
	begun := make(chan error, 1)
	go func() { begun <- b.Begin(within(t)) }()
	must(t, a.End(within(t), Leave))
	_, err = a.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
	must(t, err)
	select {
	case err := <-begun:
		t.Fatalf("the other transaction began inside the first: %v", err)
	default:
	}
	must(t, a.End(within(t), Leave))
	must(t, <-begun)
	wantCode(t, a.End(within(t), Leave), ENotTransacted)
	must(t, b.End(within(t), Leave))
}

func TestShareModes(t *testing.T) {
	tests := []struct {
		first, second Share
		want          Code
	}{
		{Shared, Shared, Success},
		{Shared, Exclusive, ESharingViolation},
		{Exclusive, Shared, ESharingViolation},
		{Exclusive, Exclusive, ESharingViolation},
		{Exclusive, Direct, ESharingViolation},
		{Direct, Shared, Success},
		{Direct, Direct, Success},
		{Shared, 0, EInvalidValue},
		{Shared, 4, EInvalidValue},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d then %d", tt.first, tt.second), func(t *testing.T) {
			s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
			first := open(t, dial(t, s), "one", tt.first)
			if tt.first == Exclusive { // its transaction is not waited for
				must(t, first.Begin(within(t)))
			}
			c := dial(t, s)
			_, err := c.Connect(within(t), "one", tt.second, ProtocolAny)
			if codeOf(err) != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want == ESharingViolation { // the failure leaves nothing behind
				must(t, first.Disconnect(within(t), Leave))
				open(t, c, "one", tt.second)
			}
		})
	}
}

func TestReconnectChangesShareMode(t *testing.T) {
	s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
	a, b := open(t, dial(t, s), "one", Shared), open(t, dial(t, s), "one", Shared)
	wantCode(t, a.Reconnect(within(t), Exclusive, ProtocolAny, Leave), ESharingViolation)
	must(t, b.Disconnect(within(t), Leave))
	must(t, a.Reconnect(within(t), Exclusive, ProtocolAny, Leave))
	states, err := dial(t, s).Readers(within(t))
	must(t, err)
	if states[0].Sharing != -1 {
		t.Errorf("sharing is %d, want -1", states[0].Sharing)
	}
	must(t, a.Reconnect(within(t), Shared, ProtocolAny, Leave))
	open(t, dial(t, s), "one", Shared)
}

func TestDispositions(t *testing.T) {
	tests := []struct {
		name                string
		d                   Disposition
		ons, offs, resets   int
		others              Code
		reconnect, endOfTxn bool
	}{
		{name: "disconnect leave", d: Leave, ons: 1},
		{name: "disconnect reset", d: Reset, ons: 1, resets: 1, others: WResetCard},
		{name: "disconnect unpower", d: Unpower, ons: 1, offs: 1, others: WResetCard},
		{name: "disconnect eject", d: Eject, ons: 1, offs: 1, others: WResetCard},
		{name: "reconnect leave", reconnect: true, d: Leave, ons: 1},
		{name: "reconnect reset", reconnect: true, d: Reset, ons: 1, resets: 1, others: WResetCard},
		{name: "reconnect unpower", reconnect: true, d: Unpower, ons: 2, offs: 1, others: WResetCard},
		{name: "end leave", endOfTxn: true, d: Leave, ons: 1},
		{name: "end reset", endOfTxn: true, d: Reset, ons: 1, resets: 1, others: WResetCard},
		{name: "end unpower", endOfTxn: true, d: Unpower, ons: 1, offs: 1, others: WResetCard},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			card := &fakeCard{}
			s, _ := serve(t, map[string]Card{"one": card})
			a, b := open(t, dial(t, s), "one", Shared), open(t, dial(t, s), "one", Shared)
			switch {
			case tt.reconnect:
				must(t, a.Reconnect(within(t), Shared, ProtocolAny, tt.d))
				must(t, a.Status(within(t)))
			case tt.endOfTxn:
				must(t, a.Begin(within(t)))
				must(t, a.End(within(t), tt.d))
				must(t, a.Status(within(t)))
			default:
				must(t, a.Disconnect(within(t), tt.d))
			}
			if ons, offs, resets := card.count(); ons != tt.ons || offs != tt.offs || resets != tt.resets {
				t.Errorf("on %d, off %d, reset %d; want %d, %d, %d", ons, offs, resets, tt.ons, tt.offs, tt.resets)
			}
			if got := codeOf(b.Status(within(t))); got != tt.others {
				t.Errorf("the other program is told %v, want %v", got, tt.others)
			}
			must(t, b.Reconnect(within(t), Shared, ProtocolAny, Leave))
			_, err := b.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
			must(t, err)
		})
	}
}

func TestCardThatGoesAndComes(t *testing.T) {
	card := &fakeCard{}
	s, readers := serve(t, map[string]Card{"one": card})
	a := open(t, dial(t, s), "one", Exclusive)
	must(t, a.Begin(within(t)))
	readers["one"].Remove()
	_, err := a.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
	wantCode(t, err, WRemovedCard)
	c := dial(t, s)
	_, err = c.Connect(within(t), "one", Shared, ProtocolAny)
	wantCode(t, err, ENoSmartcard)
	wantCode(t, a.Reconnect(within(t), Shared, ProtocolAny, Leave), ENoSmartcard)
	must(t, readers["one"].Insert(testATR))
	b := open(t, c, "one", Shared) // what is left of the old connection does not stand in the way
	wantCode(t, a.Status(within(t)), WRemovedCard)
	must(t, a.Reconnect(within(t), Shared, ProtocolAny, Leave))
	must(t, b.Begin(within(t)))
	states, err := c.Readers(within(t))
	must(t, err)
	if states[0].Events != 3 || states[0].Sharing != 2 {
		t.Errorf("events %d, sharing %d; want 3, 2", states[0].Events, states[0].Sharing)
	}
	readers["one"].Unplug()
	wantCode(t, b.End(within(t), Leave), WRemovedCard)
	wantCode(t, b.Status(within(t)), EReaderUnavailable)
	must(t, b.Disconnect(within(t), Reset))
	if states, err = c.Readers(within(t)); err != nil || len(states) != 0 {
		t.Errorf("readers %v, %v; want none", states, err)
	}
}

func TestErrorsOfTheCard(t *testing.T) {
	tests := []struct {
		err    error
		want   Code
		status Status
	}{
		{fmt.Errorf("pulled out: %w", WRemovedCard), WRemovedCard, Absent},
		{WUnresponsiveCard, WUnresponsiveCard, Present | Swallowed},
		{errors.New("a wire is loose"), FCommError, Present | Powered | Negotiable},
		{fmt.Errorf("somebody has it: %w", ESharingViolation), ESharingViolation, Present | Powered | Negotiable},
	}
	for _, tt := range tests {
		card := &fakeCard{}
		s, _ := serve(t, map[string]Card{"one": card})
		c := dial(t, s)
		conn := open(t, c, "one", Shared)
		card.mu.Lock()
		card.err = tt.err
		card.mu.Unlock()
		_, err := conn.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
		wantCode(t, err, tt.want)
		states, err := c.Readers(within(t))
		must(t, err)
		if states[0].Status != tt.status {
			t.Errorf("after %v the status is %#x, want %#x", tt.err, states[0].Status, tt.status)
		}
	}
}

func TestMuteCardIsRevivedByReset(t *testing.T) {
	card := &fakeCard{}
	s, _ := serve(t, map[string]Card{"one": card})
	conn := open(t, dial(t, s), "one", Shared)
	card.mu.Lock()
	card.err = WUnresponsiveCard
	card.mu.Unlock()
	_, err := conn.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
	wantCode(t, err, WUnresponsiveCard)
	card.mu.Lock()
	card.err = nil
	card.mu.Unlock()
	wantCode(t, conn.Reconnect(within(t), Shared, ProtocolAny, Leave), WUnresponsiveCard)
	must(t, conn.Reconnect(within(t), Shared, ProtocolAny, Reset))
	_, err = conn.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
	must(t, err)
}

func TestTransmitLengths(t *testing.T) {
	s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
	conn := open(t, dial(t, s), "one", Shared)
	for _, n := range []int{4, 5, 261, 262, 4096, 65544} {
		command := bytes.Repeat([]byte{0xEE}, n)
		got, err := conn.Transmit(within(t), command)
		must(t, err)
		if len(got) != n+2 || !bytes.Equal(got[:n], command) {
			t.Errorf("%d bytes came back as %d", n, len(got))
		}
	}
}

func TestProtocols(t *testing.T) {
	tests := []struct {
		asked Protocol
		want  Protocol
		err   Code
	}{
		{ProtocolAny, T0, Success}, // the first that the ATR offers
		{T0, T0, Success},
		{T1, T1, Success},
		{anyOld, T0, Success},
		{T1 | Raw, T1, Success},
		{Raw, 0, EProtoMismatch},
		{0, 0, EProtoMismatch},
	}
	for _, tt := range tests {
		s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
		conn, err := dial(t, s).Connect(within(t), "one", Shared, tt.asked)
		if codeOf(err) != tt.err {
			t.Fatalf("asked for %d: %v, want %v", tt.asked, err, tt.err)
		}
		if err == nil && conn.Protocol() != tt.want {
			t.Errorf("asked for %d: got %d, want %d", tt.asked, conn.Protocol(), tt.want)
		}
	}
}

func TestAttributesAndControl(t *testing.T) {
	s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
	conn := open(t, dial(t, s), "one", Shared)
	tests := map[Attribute][]byte{
		AttrATR:                testATR,
		AttrDeviceFriendlyName: []byte("one\x00"),
		AttrVendorName:         []byte(vendorName),
		AttrICCPresence:        {2},
		AttrICCInterfaceStatus: {0xFF},
		AttrCurrentProtocol:    order.AppendUint32(nil, uint32(T0)),
	}
	for id, want := range tests {
		got, err := conn.Attrib(within(t), id)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("attribute %08X: %X, %v; want %X", uint32(id), got, err, want)
		}
	}
	_, err := conn.Attrib(within(t), 0x00010103)
	wantCode(t, err, EUnsupported)
	wantCode(t, conn.SetAttrib(within(t), AttrMaxInput, []byte{1}), EUnsupported)
	if got, err := conn.Control(within(t), GetFeatureRequest, nil); err != nil || len(got) != 0 {
		t.Errorf("features: %X, %v; want none", got, err)
	}
	_, err = conn.Control(within(t), 0x42000001, []byte{1, 2, 3})
	wantCode(t, err, EUnsupported)
}

func TestSocketIsPrivateAndRemoved(t *testing.T) {
	s, err := Listen(Options{Dir: t.TempDir()})
	must(t, err)
	for path, want := range map[string]os.FileMode{s.Path(): 0o600 | os.ModeSocket, filepath.Dir(s.Path()): 0o700 | os.ModeDir} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	must(t, s.Serve(ctx))
	if _, err := os.Stat(filepath.Dir(s.Path())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	must(t, s.Close())
}

func TestListenSaysWhatToDo(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), mkdir(t, filepath.Join(t.TempDir(), string(bytes.Repeat([]byte{'x'}, 90))))} {
		if s, err := Listen(Options{Dir: dir}); err == nil {
			t.Errorf("Listen in %s did well: %s", dir, s.Path())
		} else {
			t.Log(err)
		}
	}
}

func mkdir(t *testing.T, dir string) string {
	must(t, os.Mkdir(dir, 0o700))
	return dir
}

func TestPlug(t *testing.T) {
	s, _ := serve(t, nil)
	for _, name := range []string{"", string(bytes.Repeat([]byte{'n'}, 128)), "a\nb", "a\x00b"} {
		_, err := s.Plug(name, &fakeCard{})
		wantCode(t, err, EInvalidValue)
	}
	var last *Reader
	for i := range MaxReaders {
		r, err := s.Plug(fmt.Sprint("reader ", i), &fakeCard{})
		must(t, err)
		last = r
	}
	_, err := s.Plug("reader 3", &fakeCard{})
	wantCode(t, err, EDuplicateReader)
	if _, err = s.Plug("one more", &fakeCard{}); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want %v", err, ErrFull)
	}
	last.Unplug()
	last.Unplug()
	_, err = s.Plug("one more", &fakeCard{})
	must(t, err)
	states, err := dial(t, s).Readers(within(t))
	if err != nil || len(states) != MaxReaders {
		t.Errorf("%d readers, %v", len(states), err)
	}
}

func TestHandlesOfOthersAreNotUsable(t *testing.T) {
	s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
	a, b := dial(t, s), dial(t, s)
	if a.id == b.id {
		t.Fatalf("two contexts have the number %d", a.id)
	}
	mine := open(t, a, "one", Shared)
	stolen := &Connection{client: b, card: mine.card}
	wantCode(t, stolen.Status(within(t)), EInvalidHandle)
	wantCode(t, stolen.Disconnect(within(t), Reset), EInvalidHandle)
	_, err := stolen.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
	wantCode(t, err, EInvalidHandle)
	b.id = a.id
	_, err = b.Connect(within(t), "one", Shared, ProtocolAny)
	wantCode(t, err, EInvalidHandle)
}

func TestReleaseEndsConnections(t *testing.T) {
	card := &fakeCard{}
	s, _ := serve(t, map[string]Card{"one": card})
	c := dial(t, s)
	conn := open(t, c, "one", Shared)
	must(t, c.Release(within(t)))
	if _, offs, _ := card.count(); offs != 1 {
		t.Errorf("the card was powered off %d times, want 1", offs)
	}
	wantCode(t, conn.Status(within(t)), EInvalidHandle)
	_, err := c.Connect(within(t), "one", Shared, ProtocolAny)
	wantCode(t, err, EInvalidHandle)
}

// A program that dies while its command is with the card does not cut the
// command short, and the card is off afterwards.
func TestProgramThatGoesInTheMiddleOfACommand(t *testing.T) {
	block := make(chan struct{})
	card := &fakeCard{block: block}
	s, _ := serve(t, map[string]Card{"one": card})
	c := dial(t, s)
	conn := open(t, c, "one", Shared)
	ctx, cancel := context.WithCancel(within(t))
	done := make(chan error, 1)
	go func() { _, err := conn.Transmit(ctx, []byte{0, 0xA4, 4, 0, 0}); done <- err }()
	eventually(t, "the card works", func() bool { card.mu.Lock(); defer card.mu.Unlock(); return card.busy })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	close(block)
	eventually(t, "the card is off", func() bool { _, offs, _ := card.count(); return offs == 1 })
	if len(card.commands) != 1 {
		t.Errorf("the card executed %d commands, want 1", len(card.commands))
	}
	if err := conn.Status(within(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("after it was cut short: %v, want %v", err, context.Canceled)
	}
}
