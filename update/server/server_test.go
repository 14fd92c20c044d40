package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/gokrazy/slots"
	"github.com/cloud-of-se/tses/gokrazy/slots/slotstest"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/stptest"
	"github.com/cloud-of-se/tses/update"
	"github.com/cloud-of-se/tses/update/client"
	"github.com/cloud-of-se/tses/update/server"
)

// world is a box whose other slot is a file, and its owner.
type world struct {
	t     *testing.T
	owner *ecdsa.PrivateKey
	slot  string // the file
	trial bool
	ts    *stptest.TSES
	admin *tls.Config
	s     *server.Server
}

func newWorld(t *testing.T, change func(*world, *stptest.Options)) *world {
	t.Helper()
	owner, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, owner: owner, slot: filepath.Join(t.TempDir(), "slot")}
	if err := os.WriteFile(w.slot, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	w.s = &server.Server{
		Owner: &owner.PublicKey, Start: "first", Running: update.Running{Box: "tses-1a2b", Version: "v1", Built: 100},
		Slots: func() (server.Slots, error) {
			return server.Slots{Running: slots.A, Trial: w.trial, Other: w.slot}, nil
		},
	}
	o := stptest.Options{Handlers: map[string]stp.Handler{update.Protocol: w.s}}
	if change != nil {
		change(w, &o)
	}
	w.ts = stptest.Start(t, o)
	w.admin = w.ts.TLS(w.ts.Credential("admin", access.Administrative))
	return w
}

func (w *world) bundle(change func(*update.Order)) *bytes.Reader {
	w.t.Helper()
	root := make([]byte, 3<<20)
	rand.Read(root)
	o := update.Order{Box: "tses-1a2b", Version: "v2", Built: 101, Root: bytes.NewReader(root), Owner: w.owner}
	if change != nil {
		change(&o)
	}
	var b bytes.Buffer
	if _, err := update.Write(&b, o); err != nil {
		w.t.Fatal(err)
	}
	return bytes.NewReader(b.Bytes())
}

func (w *world) put(asked update.Asked, bundle io.ReadSeeker) (update.Status, []update.Progress, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	var told []update.Progress
	s, err := client.Put(ctx, w.ts.Addr, w.admin, client.Options{}, asked, bundle, func(p update.Progress) { told = append(told, p) })
	return s, told, err
}

func (w *world) status() update.Status {
	w.t.Helper()
	s, err := client.Status(w.t.Context(), w.ts.Addr, w.admin, client.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) content() []byte {
	w.t.Helper()
	b, err := os.ReadFile(w.slot)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func TestPut(t *testing.T) {
	prepared := 0
	w := newWorld(t, func(w *world, _ *stptest.Options) {
		w.s.Prepare = func(context.Context) error { prepared++; return nil }
	})
	if s := w.status(); s.Box != "tses-1a2b" || s.Running.Version != "v1" || s.Slot != "A" || s.Start != "first" || s.Trial || s.Last != nil {
		t.Errorf("before: %+v", s)
	}
	s, told, err := w.put(update.Asked{}, w.bundle(nil))
	if err != nil {
		t.Fatal(err)
	}
	if s.Last == nil || s.Last.Version != "v2" || s.Last.State != "armed" || prepared != 1 {
		t.Errorf("status %+v with last %+v, prepared %d times", s, s.Last, prepared)
	}
	if len(told) < 2 || told[0].Step != "writing" || told[len(told)-1].Step != "checking" {
		t.Errorf("progress %+v", told)
	}
	if _, _, err := w.put(update.Asked{}, w.bundle(nil)); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("a second update before the restart: %v", err)
	}
	p, f, err := slots.Open(w.slot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if h, err := slots.Consume(t.Context(), p, &w.owner.PublicKey, w.s.Running); err != nil || h.Version != "v2" {
		t.Errorf("Consume: %v, %v", h, err)
	}
	if s := w.status(); s.Last == nil || s.Last.State != "tried" {
		t.Errorf("after the trial: %+v", s.Last)
	}
}

// A refused update writes nothing.
func TestRefusalsBeforeAnythingIsWritten(t *testing.T) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	boot := func(o *update.Order) {
		o.Boot, o.BootName = bytes.NewReader(make([]byte, 512)), "k2"
	}
	for name, tt := range map[string]struct {
		change func(*update.Order)
		world  func(*world)
		asked  update.Asked
		want   string
	}{
		"not signed by the owner": {change: func(o *update.Order) { o.Owner = stranger }, want: "not signed by the box's owner"},
		"another box":             {change: func(o *update.Order) { o.Box = "tses-9" }, want: "for another box"},
		"older":                   {change: func(o *update.Order) { o.Built, o.Replaces = 99, 100 }, want: "-older v2"},
		"older, of no word":       {change: func(o *update.Order) { o.Built = 99 }, want: "-replaces 1970-01-01T00:01:40Z"},
		"boot":                    {change: boot, want: "-boot k2"},
		"another boot":            {change: boot, asked: update.Asked{Boot: "k1"}, want: "-boot k2"},
		"no boot":                 {asked: update.Asked{Boot: "k2"}, want: "no boot partition"},
		"built in the future":     {change: func(o *update.Order) { o.Built = 2 * 86400 }, world: func(w *world) { w.s.Now = func() time.Time { return time.Unix(101, 0) } }, want: "later than it is now"},
		"on trial":                {world: func(w *world) { w.trial = true }, want: "on trial"},
		"too large":               {change: func(o *update.Order) { o.Root = bytes.NewReader(make([]byte, 9<<20)) }, want: "too small"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			if tt.world != nil {
				tt.world(w)
			}
			_, _, err := w.put(tt.asked, w.bundle(tt.change))
			if refused := new(client.Refusal); !errors.As(err, refused) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a refusal with %q", err, tt.want)
			}
			if !bytes.Equal(w.content(), make([]byte, 8<<20)) {
				t.Error("the slot was written")
			}
		})
	}
}

func TestAskedByName(t *testing.T) {
	w := newWorld(t, nil)
	_, _, err := w.put(update.Asked{Older: "v0", Boot: "k2"}, w.bundle(func(o *update.Order) {
		o.Replaces = 100
		o.Version, o.Built, o.Boot, o.BootName = "v0", 1, bytes.NewReader(slotstest.UsualBoot(t)), "k2"
	}))
	if err != nil {
		t.Error(err)
	}
}

func TestUsersMayNot(t *testing.T) {
	w := newWorld(t, nil)
	user := w.ts.TLS(w.ts.Credential("bob", access.User))
	_, err := client.Status(t.Context(), w.ts.Addr, user, client.Options{})
	if refused := new(client.Refusal); !errors.As(err, refused) || !strings.Contains(err.Error(), "administrative plane") {
		t.Errorf("status: %v, want a refusal", err)
	}
	_, err = client.Put(t.Context(), w.ts.Addr, user, client.Options{}, update.Asked{}, w.bundle(nil), func(update.Progress) {})
	if refused := new(client.Refusal); !errors.As(err, refused) || !strings.Contains(err.Error(), "administrative plane") {
		t.Errorf("put: %v, want a refusal", err)
	}
}

func TestWhatChangesOnTheWay(t *testing.T) {
	w := newWorld(t, nil)
	b := w.bundle(nil)
	all, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	all[len(all)-1] ^= 1
	_, _, err = w.put(update.Asked{}, bytes.NewReader(all))
	if refused := new(client.Refusal); !errors.As(err, refused) || !strings.Contains(err.Error(), update.ErrDigest.Error()) {
		t.Errorf("got %v, want %v", err, update.ErrDigest)
	}
	if s := w.status(); s.Last != nil {
		t.Errorf("the slot has a record: %+v", s.Last)
	}
	// The box can take the right one then.
	if _, _, err := w.put(update.Asked{}, w.bundle(nil)); err != nil {
		t.Error(err)
	}
}

func TestNoBundle(t *testing.T) {
	w := newWorld(t, nil)
	if _, _, err := w.put(update.Asked{}, strings.NewReader("hello")); !errors.Is(err, update.ErrFormat) {
		t.Errorf("got %v, want %v", err, update.ErrFormat)
	}
	plain := stptest.Start(t, stptest.Options{Handler: new(server.Server)})
	admin := plain.TLS(plain.Credential("admin", access.Administrative))
	if _, err := client.Status(t.Context(), plain.Addr, admin, client.Options{}); !errors.Is(err, client.ErrNotBox) {
		t.Errorf("a TSES that is no box: %v, want %v", err, client.ErrNotBox)
	}
}

// begin sends what a client says first, by hand.
func (w *world) begin(text string) *tls.Conn {
	w.t.Helper()
	config := w.admin.Clone()
	config.NextProtos = []string{update.Protocol}
	c, err := tls.Dial("tcp", w.ts.Addr, config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestBadClients(t *testing.T) {
	w := newWorld(t, nil)
	for _, tt := range []struct{ text, want string }{
		{"HELLO\n", "NO the other side does not speak"},
		{"PUT {\"more\":1}\n", "NO the other side does not speak"},
		{"PUT {}\nno bundle, but as long as its head has to be\n", "NO not an update bundle"},
		{strings.Repeat("x", update.MaxLine+1), "NO the other side does not speak"},
	} {
		c := w.begin(tt.text)
		c.CloseWrite()
		if got, err := io.ReadAll(c); !strings.HasPrefix(string(got), tt.want) || err != nil {
			t.Errorf("%.40q: got %q, %v; want %q", tt.text, got, err, tt.want)
		}
	}
}

// One that begins an update and says nothing more keeps others out for the idle
// time, not for ever.
func TestOneAtATime(t *testing.T) {
	w := newWorld(t, func(w *world, o *stptest.Options) { o.Limits.Idle = 2 * time.Second })
	all, err := io.ReadAll(w.bundle(nil))
	if err != nil {
		t.Fatal(err)
	}
	second := w.bundle(nil) // which takes its time
	silent := w.begin("PUT {}\n" + string(all[:1000]))
	if got, err := io.ReadAll(io.LimitReader(silent, 3)); string(got) != "GO\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, _, err := w.put(update.Asked{}, second); err == nil || !strings.Contains(err.Error(), "another update is under way") {
		t.Errorf("a second one: %v", err)
	}
	rest, err := io.ReadAll(silent)
	if err != nil || !strings.Contains(string(rest), "NO ") {
		t.Errorf("the silent one: %q, %v; want a NO", rest, err)
	}
	if _, _, err := w.put(update.Asked{}, w.bundle(nil)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestLimit(t *testing.T) {
	w := newWorld(t, func(w *world, _ *stptest.Options) { w.s.Limit = 200 * time.Millisecond })
	all, err := io.ReadAll(w.bundle(nil))
	if err != nil {
		t.Fatal(err)
	}
	c := w.begin("PUT {}\n" + string(all[:1000]))
	got, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(got), "NO ") || !strings.Contains(string(got), "too long") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestShutdownEndsAnUpdate(t *testing.T) {
	w := newWorld(t, nil)
	all, err := io.ReadAll(w.bundle(nil))
	if err != nil {
		t.Fatal(err)
	}
	c := w.begin("PUT {}\n" + string(all[:1000]))
	if got, err := io.ReadAll(io.LimitReader(c, 3)); string(got) != "GO\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	from := time.Now()
	if err := w.ts.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(from); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
