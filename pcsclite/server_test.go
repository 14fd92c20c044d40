package pcsclite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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

// XDG_RUNTIME_DIR is used where it is this user's and nobody else can use it.
func TestRuntimeDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("which has no such modes")
	}
	t.Setenv("TMPDIR", t.TempDir())
	strangers := mkdir(t, filepath.Join(t.TempDir(), "d"))
	if os.Getuid() == 0 {
		must(t, os.Chown(strangers, 65534, 65534))
	}
	for _, tt := range []struct {
		name, dir string
		mode      os.FileMode
		want      bool
	}{
		{"ours alone", mkdir(t, filepath.Join(t.TempDir(), "d")), 0o700, true},
		{"others read it", mkdir(t, filepath.Join(t.TempDir(), "d")), 0o755, false},
		{"others write it", mkdir(t, filepath.Join(t.TempDir(), "d")), 0o777 | os.ModeSticky, false},
		{"another's", strangers, 0o700, os.Getuid() != 0},
		{"not there", filepath.Join(t.TempDir(), "d"), 0, false},
		{"relative", ".", 0, false},
	} {
		if tt.mode != 0 {
			must(t, os.Chmod(tt.dir, tt.mode))
		}
		t.Setenv("XDG_RUNTIME_DIR", tt.dir)
		s, err := Listen(Options{})
		must(t, err)
		if got := filepath.Dir(filepath.Dir(s.Path())) == tt.dir; got != tt.want {
			t.Errorf("%s: it is in %s, used: %v, want %v", tt.name, s.Path(), got, tt.want)
		}
		must(t, s.Close())
	}
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

// A program that dies while its command is with the card does not cut the
// command short, and the card is off afterwards.
