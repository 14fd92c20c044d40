package pcsclite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options are what a [Server] may be told. The zero value is good.
type Options struct {
	// Dir is where the private directory of the socket is made. By default
	// $XDG_RUNTIME_DIR where that is this user's and nobody else can use it, else
	// the directory for temporary files.
	Dir string
	// Path is where the socket is instead, the same at every start, for programs
	// that outlive a server. Its directory must be this user's, mode 0700, and is
	// left as it is. The socket of a server that is gone is taken over, see
	// [ErrServed].
	Path string
	// CallTimeout ends a call of a card. By default two minutes: a chip takes
	// its time to make an RSA key.
	CallTimeout time.Duration
	// Log hears of failures and of programs that wait for others. By default
	// nothing is logged.
	Log *slog.Logger
}

// Bounds that keep one user's programs from each other's throats.
const (
	maxSessions = 256 // programs' contexts at once
	maxHandles  = 256 // connections of one context
)

// ErrFull: the socket has [MaxReaders] readers and the protocol room for no
// more.
var ErrFull = fmt.Errorf("a PC/SC socket has %d readers at most", MaxReaders)

// Server is a resource manager on a socket of its own.
type Server struct {
	opts Options
	log  *slog.Logger
	dir  string // private, removed at the end
	path string
	ln   net.Listener
	ctx  context.Context // ends the calls of cards
	stop context.CancelFunc
	wg   sync.WaitGroup // sessions

	mu       sync.Mutex
	readers  [MaxReaders]*Reader
	handles  map[uint32]*handle
	sessions map[*session]struct{}
	contexts map[uint32]*session
	plugs    uint32        // readers plugged and unplugged
	changed  chan struct{} // closed at each change, then replaced
}

// Listen makes the socket, mode 0600 in a directory of mode 0700 that nobody
// else has. [Server.Serve] must follow, or [Server.Close].
func Listen(opts Options) (*Server, error) {
	s := newServer(opts)
	if err := s.listen(); err != nil {
		s.stop()
		return nil, fmt.Errorf("open a PC/SC socket: %w", err)
	}
	return s, nil
}

func newServer(opts Options) *Server {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.CallTimeout <= 0 {
		opts.CallTimeout = 2 * time.Minute
	}
	s := &Server{
		opts: opts, log: opts.Log, changed: make(chan struct{}),
		handles: map[uint32]*handle{}, sessions: map[*session]struct{}{}, contexts: map[uint32]*session{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// maxPath is what a socket's address holds on Linux, with its final NUL.
const maxPath = 108

func (s *Server) listen() error {
	if s.opts.Path != "" {
		return s.listenAt(s.opts.Path)
	}
	parent := s.opts.Dir
	if parent == "" {
		parent = os.Getenv("XDG_RUNTIME_DIR")
		if info, err := os.Stat(parent); err != nil || !filepath.IsAbs(parent) || !private(info) {
			parent = "" // it outlives a change of user by su, and may be anybody's
		}
	}
	dir, err := os.MkdirTemp(parent, "pcsc-") // mode 0700
	if err != nil {
		return fmt.Errorf("make its private directory (XDG_RUNTIME_DIR or TMPDIR can name another place): %w", err)
	}
	s.dir, s.path = dir, filepath.Join(dir, "pcscd.comm")
	if len(s.path) >= maxPath {
		err = fmt.Errorf("the path %q has %d bytes, an address of a socket less than %d: choose a shorter directory", s.path, len(s.path), maxPath)
	} else if s.ln, err = net.Listen("unix", s.path); err == nil {
		err = os.Chmod(s.path, 0o600)
	}
	if err != nil {
		return errors.Join(err, s.remove())
	}
	return nil
}

// Path is the socket's, the value of PCSCLITE_CSOCK_NAME for programs.
func (s *Server) Path() string { return s.path }

// Serve answers programs until ctx is done, then ends their connections,
// powers the cards off and removes the socket and its directory. It returns
// nil after that, an error where the socket fails.
func (s *Server) Serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.closeListener)()
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return s.Close()
			}
			return errors.Join(fmt.Errorf("accept on PC/SC socket %s: %w", s.path, err), s.Close())
		}
		s.start(conn)
	}
}

// closeListener ends Accept. The error says that it is closed already.
func (s *Server) closeListener() {
	if s.ln != nil {
		_ = s.ln.Close()
	}
}

// start serves one program in a goroutine that Close waits for.
func (s *Server) start(conn net.Conn) {
	c := newSession(s, conn)
	s.mu.Lock()
	full := len(s.sessions) >= maxSessions || s.ctx.Err() != nil
	if !full {
		s.sessions[c] = struct{}{}
		s.wg.Add(1)
	}
	s.mu.Unlock()
	if full {
		s.log.Warn("too many programs at once", "most", maxSessions, "refused", c.who)
		_ = conn.Close() // the program sees that there is no service
		return
	}
	go func() {
		defer s.wg.Done()
		c.serve()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, c)
	}()
}

// Close ends what Serve began, or what Listen did where Serve was never
// called. A second call does nothing.
func (s *Server) Close() error {
	s.closeListener()
	s.stop()
	s.mu.Lock()
	for c := range s.sessions {
		c.hangUp()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return s.remove()
}

func (s *Server) remove() error {
	if s.dir == "" {
		return nil // a listener on a path of its own removes the socket
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove the PC/SC socket's directory: %w", err)
	}
	return nil
}

// Plug shows a reader to programs, without a card until [Reader.Insert]. It
// fails with [ErrFull] where [MaxReaders] are there, with [EDuplicateReader]
// where the name is taken, and with [EInvalidValue] on a name that is empty,
// longer than [MaxName] bytes, or has a control character.
func (s *Server) Plug(name string, card Card) (*Reader, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	free := -1
	for i, r := range s.readers {
		switch {
		case r == nil && free < 0:
			free = i
		case r != nil && r.state.Name == name:
			return nil, fmt.Errorf("plug reader %q: %w", name, EDuplicateReader)
		}
	}
	if free < 0 {
		return nil, fmt.Errorf("plug reader %q: %w", name, ErrFull)
	}
	r := newReader(s, name, card)
	s.readers[free] = r
	s.plugs++
	s.broadcast()
	return r, nil
}

func checkName(name string) error {
	bad := strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7F })
	if name == "" || len(name) > MaxName || bad {
		return fmt.Errorf("reader name %q: 1 to %d bytes without control characters: %w", name, MaxName, EInvalidValue)
	}
	return nil
}

// Unplug takes the reader away for good. Programs that are connected are told
// that it is not available. The card is not called.
func (r *Reader) Unplug() {
	s := r.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.gone {
		return
	}
	r.removed()
	r.gone = true
	for i := range s.readers {
		if s.readers[i] == r {
			s.readers[i] = nil
		}
	}
	s.plugs++
	s.broadcast()
}

// broadcast wakes whoever waits for a change. Its caller holds mu.
func (s *Server) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// find looks a reader up by its name.
func (s *Server) find(name string) *Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		if r != nil && r.state.Name == name {
			return r
		}
	}
	return nil
}

// states encodes all readers, free places too, and returns with them the
// channel that is closed at the next change.
func (s *Server) states() ([]byte, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := make([]byte, 0, MaxReaders*stateSize)
	for _, r := range s.readers {
		if r == nil {
			b = appendState(b, ReaderState{})
			continue
		}
		b = appendState(b, r.state)
	}
	return b, s.changed
}

// newHandle gives a connection its number, which no other one has; libpcsclite
// finds connections by it in a whole process. Its caller holds mu.
func (s *Server) newHandle(h *handle) uint32 {
	for {
		id := rand.Uint32() & 0x7FFFFFFF // libpcsclite keeps it in an int32
		if _, taken := s.handles[id]; id != 0 && !taken {
			s.handles[id] = h
			return id
		}
	}
}

// newContext gives a session its number. A number that is in use makes
// libpcsclite establish its context again, for ever.
func (s *Server) newContext(c *session) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		id := rand.Uint32() & 0x7FFFFFFF
		if _, taken := s.contexts[id]; id != 0 && !taken {
			s.contexts[id] = c
			return id
		}
	}
}
