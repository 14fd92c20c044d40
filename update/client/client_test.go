package client_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/stptest"
	"github.com/cloud-of-se/tses/update"
	"github.com/cloud-of-se/tses/update/client"
)

// box is one that says to a client what a test wants. Package update/server has
// the tests with the real one.
type box func(ctx context.Context, in *bufio.Reader, out io.Writer) error

func (b box) Serve(ctx context.Context, c *stp.Conn, _ *stp.Session) error {
	if err := c.AwaitInput(); err != nil {
		return err
	}
	return b(ctx, bufio.NewReaderSize(c, update.MaxLine+1), c)
}

// start runs it, and returns where it is and how an administrator connects.
func (b box) start(t *testing.T) (addr string, config *tls.Config) {
	t.Helper()
	ts := stptest.Start(t, stptest.Options{Handlers: map[string]stp.Handler{update.Protocol: b}})
	return ts.Addr, ts.TLS(ts.Credential("admin", access.Administrative))
}

// bundle is an update that no buffer between client and box takes as a whole.
func bundle(t *testing.T) []byte {
	t.Helper()
	owner, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	_, err = update.Write(&b, update.Order{
		Box: "tses-1a2b", Version: "v2", Built: 101, Root: bytes.NewReader(make([]byte, 12<<20)), Boot: bytes.NewReader(make([]byte, 1<<20)), BootName: "k2", Owner: owner,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// soon is less than any of the client's own limits, and time enough for the rest.
// A box that talks and talks has an end, too.
func TestWhole(t *testing.T) {
	chatty := box(func(_ context.Context, in *bufio.Reader, out io.Writer) error {
		if _, err := begin(in, out); err != nil {
			return err
		}
		for {
			if err := update.WriteLine(out, update.WordAt, update.Progress{Step: "writing"}); err != nil {
				return nil // it is over
			}
			time.Sleep(time.Millisecond)
		}
	})
	_, told, err := put(t, chatty, client.Options{Whole: 500 * time.Millisecond}, bytes.NewReader(bundle(t)))
	if len(told) == 0 || err == nil || !strings.Contains(err.Error(), "has not done with it in time") {
		t.Errorf("%d lines, %v", len(told), err)
	}
}

const soon = 15 * time.Second

// put sends a bundle, and returns what the client says of it.
func put(t *testing.T, b box, o client.Options, from io.ReadSeeker) (update.Status, []update.Progress, error) {
	t.Helper()
	addr, config := b.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var told []update.Progress
	s, err := client.Put(ctx, addr, config, o, update.Asked{Older: "v2", Boot: "k2"}, from, func(p update.Progress) { told = append(told, p) })
	return s, told, err
}

// begin reads what a client says first, and lets it go on.
func begin(in *bufio.Reader, out io.Writer) (*update.Header, error) {
	word, rest, err := update.ReadLine(in)
	if err != nil {
		return nil, err
	}
	var asked update.Asked
	if err := update.Decode(rest, &asked); err != nil || word != update.WordPut || asked != (update.Asked{Older: "v2", Boot: "k2"}) {
		return nil, errors.Join(err, errors.New("it says "+word))
	}
	h, err := update.Peek(in)
	if err != nil {
		return nil, err
	}
	return h, update.WriteLine(out, update.WordGo, nil)
}

var done = update.Status{Box: "tses-1a2b", Start: "first", Slot: "A", Last: &update.Attempt{State: "armed"}}

func TestPut(t *testing.T) {
	all := bundle(t)
	received := make(chan int64, 1)
	s, told, err := put(t, func(_ context.Context, in *bufio.Reader, out io.Writer) error {
		h, err := begin(in, out)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, io.LimitReader(in, h.Root.Size+h.Boot.Size))
		received <- n
		return errors.Join(err, update.WriteLine(out, update.WordAt, update.Progress{Step: "checking", Bytes: 7}), update.WriteLine(out, update.WordDone, done))
	}, client.Options{}, bytes.NewReader(all))
	if err != nil || s.Last == nil || s.Last.State != "armed" || len(told) != 1 || told[0].Bytes != 7 {
		t.Errorf("got %+v, %+v, %v", s, told, err)
	}
	if got, want := <-received, int64(13<<20); got != want {
		t.Errorf("the box got %d bytes, want %d", got, want)
	}
}

// What is not just one bundle is refused before anybody is connected to.
func TestPutLength(t *testing.T) {
	all := bundle(t)
	for name, tt := range map[string]struct {
		b    []byte
		want error
		text string
	}{
		"a byte is missing":  {all[:len(all)-1], update.ErrLength, "bytes; fetch or build it again"},
		"the head alone":     {all[:600], update.ErrLength, "it has 600 of "},
		"half of a head":     {all[:100], update.ErrFormat, ""},
		"a byte behind it":   {append(bytes.Clone(all), 0), update.ErrLength, "1 of them behind its end"},
		"two bundles":        {append(bytes.Clone(all), all...), update.ErrLength, "behind its end"},
		"nothing":            {nil, update.ErrFormat, ""},
		"no bundle, but big": {make([]byte, len(all)), update.ErrFormat, ""},
	} {
		_, err := client.Put(t.Context(), "127.0.0.1:1", new(tls.Config), client.Options{}, update.Asked{}, bytes.NewReader(tt.b), nil)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %v with %q", name, err, tt.want, tt.text)
		}
	}
}

// When the box says that it is done, it is, whatever the sender thinks of it: it
// may restart before it has read the last that TLS has to say.
func TestPutDoneCounts(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	for name, then := range map[string]func(in io.Reader){
		"it reads no more": func(io.Reader) { <-over },
		"it closes":        func(in io.Reader) { _, _ = io.CopyN(io.Discard, in, 1<<20) }, // and the client has read it by then
	} {
		from := time.Now()
		s, _, err := put(t, func(_ context.Context, in *bufio.Reader, out io.Writer) error {
			if _, err := begin(in, out); err != nil {
				return err
			}
			err := update.WriteLine(out, update.WordDone, done)
			then(in)
			return err
		}, client.Options{}, bytes.NewReader(bundle(t)))
		if took := time.Since(from); err != nil || s.Slot != "A" || took > soon {
			t.Errorf("%s: got %+v, %v after %v", name, s, err, took)
		}
	}
}

// What the box says counts for more than the connection that it closes.
func TestPutRefused(t *testing.T) {
	for name, refuse := range map[string]box{
		"at once": func(_ context.Context, in *bufio.Reader, out io.Writer) error {
			return update.WriteLine(out, update.WordNo, "I would rather not")
		},
		"behind the head": func(_ context.Context, in *bufio.Reader, out io.Writer) error {
			if _, _, err := update.ReadLine(in); err != nil {
				return err
			}
			if _, err := update.Peek(in); err != nil {
				return err
			}
			return update.WriteLine(out, update.WordNo, "I would rather not")
		},
		"in the middle": func(_ context.Context, in *bufio.Reader, out io.Writer) error {
			if _, err := begin(in, out); err != nil {
				return err
			}
			if _, err := io.CopyN(io.Discard, in, 1<<20); err != nil {
				return err
			}
			err := update.WriteLine(out, update.WordNo, "I would rather not")
			_, _ = io.CopyN(io.Discard, in, 1<<20)
			return err
		},
	} {
		_, _, err := put(t, refuse, client.Options{}, bytes.NewReader(bundle(t)))
		if refused := new(client.Refusal); !errors.As(err, refused) || *refused != "I would rather not" {
			t.Errorf("%s: got %v, want its reason", name, err)
		}
	}
}

// torn is a file that cannot be read to its end.
type torn struct {
	*bytes.Reader
	at  int64
	err error
}

func (f torn) Read(b []byte) (int, error) {
	if pos, _ := f.Reader.Seek(0, io.SeekCurrent); pos > f.at {
		return 0, f.err
	}
	return f.Reader.Read(b)
}

// Where the file cannot be read the box is not waited for.
func TestPutOfAFileThatCannotBeRead(t *testing.T) {
	broken := errors.New("the disk is broken")
	for _, fails := range []error{broken, io.EOF} {
		want := fails
		if errors.Is(fails, io.EOF) { // it has become shorter
			want = io.ErrUnexpectedEOF
		}
		from := time.Now()
		_, _, err := put(t, func(_ context.Context, in *bufio.Reader, out io.Writer) error {
			h, err := begin(in, out)
			if err != nil {
				return err
			}
			_, err = io.CopyN(io.Discard, in, h.Root.Size+h.Boot.Size)
			return err
		}, client.Options{}, torn{bytes.NewReader(bundle(t)), 3 << 20, fails})
		if took := time.Since(from); !errors.Is(err, want) || took > soon {
			t.Errorf("got %v after %v, want %v", err, took, want)
		}
	}
}

// Every wait of the client ends.
func TestClientDoesNotWaitForEver(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	silent := box(func(context.Context, *bufio.Reader, io.Writer) error {
		<-over
		return nil
	})
	deaf := box(func(_ context.Context, in *bufio.Reader, out io.Writer) error {
		_, err := begin(in, out)
		<-over
		return err
	})
	o := client.Options{Answer: 100 * time.Millisecond}
	for name, b := range map[string]box{"silent": silent, "deaf": deaf} {
		if _, _, err := put(t, b, o, bytes.NewReader(bundle(t))); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("%s: %v", name, err)
		}
		addr, config := b.start(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
		_, err := client.Put(ctx, addr, config, client.Options{}, update.Asked{Older: "v2", Boot: "k2"}, bytes.NewReader(bundle(t)), func(update.Progress) {})
		if !errors.Is(err, enough) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s, and the context is done: %v", name, err)
		}
	}
	addr, config := silent.start(t)
	if _, err := client.Status(t.Context(), addr, config, o); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("status: %v", err)
	}
}

func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		says string
		want error
	}{
		{`STATUS {"box":"tses-1a2b","start":"s","running":{"version":"v1","built":1},"slot":"A","trial":true}`, nil},
		{`STATUS {"more":1}`, update.ErrProtocol},
		{"STATUS", update.ErrProtocol},
		{"DONE {}", update.ErrProtocol},
		{strings.Repeat("x", update.MaxLine+1), update.ErrProtocol},
		{"NO not today", client.Refusal("not today")},
	} {
		addr, config := box(func(_ context.Context, in *bufio.Reader, out io.Writer) error {
			word, _, err := update.ReadLine(in)
			if err != nil || word != update.WordStatus {
				return errors.Join(err, errors.New("it says "+word))
			}
			_, err = io.WriteString(out, tt.says+"\n")
			return err
		}).start(t)
		s, err := client.Status(t.Context(), addr, config, client.Options{})
		if !errors.Is(err, tt.want) || err == nil && (s.Box != "tses-1a2b" || !s.Trial || s.Running.Version != "v1") {
			t.Errorf("%.40q: got %+v, %v; want %v", tt.says, s, err, tt.want)
		}
	}
}
