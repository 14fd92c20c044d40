package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/grid"
	"github.com/cloud-of-se/tses/stp"
)

// NewTestSession returns a session of a credential on SEs.
func NewTestSession(t testing.TB, planes access.Plane, ses map[string]drivers.SE) *stp.Session {
	g := grid.New()
	for seid, se := range ses {
		if err := g.Add(seid, se); err != nil {
			t.Fatal(err)
		}
	}
	return stp.NewSession(&access.Credential{Name: "test", Planes: planes}, g, slog.New(slog.DiscardHandler))
}

// memory is a connection whose input is there and whose output is kept.
type memory struct {
	io.Reader
	io.Writer
}

func (memory) AwaitInput() error { return nil }
func (memory) Ended() error      { return nil }

// ServeBytes runs a session on what in gives. It returns all answers, and how
// many bytes of buffers the session held at its end.
func ServeBytes(ctx context.Context, s *Server, ses *stp.Session, in io.Reader) (answers []byte, held int, err error) {
	var out bytes.Buffer
	p := s.newPeer(memory{in, &out}, ses)
	err = p.serve(ctx)
	return out.Bytes(), cap(p.lines.buf) + cap(p.out.buf), err
}

// repeater gives a request again and again.
type repeater struct {
	b       *testing.B
	request []byte
	once    []byte
}

func (r *repeater) Read(p []byte) (int, error) {
	if len(r.once) > 0 {
		n := copy(p, r.once)
		r.once = r.once[n:]
		return n, nil
	}
	if !r.b.Loop() {
		return 0, io.EOF
	}
	r.once = r.request
	return r.Read(p)
}

// BenchSession runs the request for every round of the benchmark on an SE that
// is called se0 and powered on.
func BenchSession(b *testing.B, se drivers.SE, request []byte) {
	ses := NewTestSession(b, access.User, map[string]drivers.SE{"se0": se})
	if _, _, err := ses.PowerOn(context.Background(), "se0"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := new(Server).newPeer(memory{&repeater{b: b, request: request}, io.Discard}, ses).serve(ctx); err != nil {
		b.Fatal(err)
	}
}
