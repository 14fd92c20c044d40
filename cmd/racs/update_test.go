package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/gokrazy/slots"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/stptest"
	"github.com/cloud-of-se/tses/update"
	updates "github.com/cloud-of-se/tses/update/server"
)

// updatable is a box that restarts, when it has an update, as the test says.
type updatable struct {
	now  atomic.Pointer[updates.Server]
	slot string
	then []*updates.Server // what it is after the restart, an answer each; the last stays
}

func (u *updatable) Serve(ctx context.Context, c *stp.Conn, s *stp.Session) error {
	err := u.now.Load().Serve(ctx, c, s)
	p, f, openErr := slots.Open(u.slot)
	if openErr != nil {
		return openErr
	}
	defer f.Close()
	if _, notYet := slots.ReadRecord(p); notYet == nil && len(u.then) > 0 {
		u.now.Store(u.then[0])
		u.then = u.then[1:]
	}
	return err
}

type updateWorld struct {
	t           *testing.T
	owner       *ecdsa.PrivateKey
	box         *updatable
	ts          *stptest.TSES
	admin, user string
	dir         string
}

func newUpdateWorld(t *testing.T) *updateWorld {
	t.Helper()
	owner, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &updateWorld{t: t, owner: owner, dir: t.TempDir()}
	w.box = &updatable{slot: filepath.Join(w.dir, "slot")}
	if err := os.WriteFile(w.box.slot, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	w.box.now.Store(w.state("1", "v1", slots.A, false))
	w.ts = stptest.Start(t, stptest.Options{Handlers: map[string]stp.Handler{update.Protocol: w.box}})
	w.admin, w.user = w.ts.CredentialFile("admin", access.Administrative), w.ts.CredentialFile("bob", access.User)
	return w
}

func (w *updateWorld) state(start, version string, running slots.Slot, trial bool) *updates.Server {
	return &updates.Server{
		Owner: &w.owner.PublicKey, Start: start, Running: update.Running{Box: "tses-1a2b", Version: version, Built: 1_700_000_000},
		Slots: func() (updates.Slots, error) {
			return updates.Slots{Running: running, Trial: trial, Other: w.box.slot}, nil
		},
	}
}

// file writes an update, and returns its path.
func (w *updateWorld) file(change func(*update.Order)) string {
	w.t.Helper()
	o := update.Order{Box: "tses-1a2b", Version: "v2", Built: 1_700_000_001, Root: bytes.NewReader(make([]byte, 1<<20)), Owner: w.owner}
	if change != nil {
		change(&o)
	}
	var b bytes.Buffer
	if _, err := update.Write(&b, o); err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.dir, "tses.update")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// racs runs the program with the credential of a file.
func (w *updateWorld) racs(credential string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	args = append([]string{"-server", w.ts.Addr, "-ca", filepath.Join(w.ts.Dir, "ca.pem"), "-cred", credential}, args...)
	status = run(w.t.Context(), args, func(string) string { return "" }, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

func TestUpdateConfirmed(t *testing.T) {
	w := newUpdateWorld(t)
	w.box.then = []*updates.Server{w.state("2", "v2", slots.B, true), w.state("2", "v2", slots.B, false)}
	status, stdout, stderr := w.racs(w.admin, "update", w.file(nil))
	if want := "tses-1a2b runs v2 of 2023-11-14T22:13:20Z from slot B, confirmed\n"; status != exitWell || stdout != want {
		t.Errorf("status %d, %q; want %q\n%s", status, stdout, want, stderr)
	}
	for _, want := range []string{"v2 of 2023-11-14T22:13:21Z for tses-1a2b: sending", "writing", "checking", "the box restarts", "on trial from slot B"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("it does not say %q:\n%s", want, stderr)
		}
	}
}

func TestUpdateTakenBack(t *testing.T) {
	w := newUpdateWorld(t)
	w.box.then = []*updates.Server{w.state("2", "v1", slots.A, false)}
	status, stdout, stderr := w.racs(w.admin, "update", w.file(nil))
	if status != exitServerError || stdout != "" || !strings.Contains(stderr, "tses-1a2b runs v1 of 2023-11-14T22:13:20Z from slot A again") {
		t.Errorf("status %d, %q\n%s", status, stdout, stderr)
	}
	status, stdout, stderr = w.racs(w.admin, "update")
	if status != exitWell || !strings.Contains(stdout, "from slot A, confirmed\nthe other slot holds v2") {
		t.Errorf("status %d, %q\n%s", status, stdout, stderr)
	}
}

func TestUpdateRefused(t *testing.T) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := newUpdateWorld(t)
	image := filepath.Join(w.dir, "other.img")
	if err := os.WriteFile(image, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	older := func(o *update.Order) { o.Version, o.Built, o.Replaces = "v0", 1, 1_700_000_000 }
	kept := func(o *update.Order) { o.Version, o.Built = "v0", 1 }
	for name, tt := range map[string]struct {
		credential string
		args       func() []string
		status     int
		want       string
	}{
		"not an administrator": {w.user, func() []string { return []string{w.file(nil)} }, exitServerError, "administrative plane"},
		"another owner":        {w.admin, func() []string { return []string{w.file(func(o *update.Order) { o.Owner = stranger })} }, exitServerError, "not signed by the box's owner"},
		"another box":          {w.admin, func() []string { return []string{w.file(func(o *update.Order) { o.Box = "tses-9" })} }, exitServerError, "build one for this box"},
		"older":                {w.admin, func() []string { return []string{w.file(older)} }, exitServerError, "ask for it by -older v0"},
		"another older":        {w.admin, func() []string { return []string{"-older", "v1", w.file(older)} }, exitServerError, "ask for it by -older v0"},
		"older, of no word":    {w.admin, func() []string { return []string{"-older", "v0", w.file(kept)} }, exitServerError, "-replaces 2023-11-14T22:13:20Z"},
		"boot":                 {w.admin, func() []string { return []string{w.file(bootChange)} }, exitServerError, "ask for it by -boot k2"},
		"of tomorrow":          {w.admin, func() []string { return []string{w.file(tomorrow)} }, exitUsage, "built later than it is now"},
		"half of one":          {w.admin, func() []string { return []string{w.cut(-1000)} }, exitUsage, "bytes; fetch or build it again"},
		"one and more":         {w.admin, func() []string { return []string{w.cut(1000)} }, exitUsage, "1000 of them behind its end"},
		"an image":             {w.admin, func() []string { return []string{image} }, exitUsage, "go run ./gokrazy writes one"},
		"an image beside one":  {w.admin, func() []string { return []string{strings.TrimSuffix(w.file(nil), ".update") + ".img"} }, exitUsage, "check the path"},
		"no file":              {w.admin, func() []string { return []string{filepath.Join(w.dir, "none")} }, exitUsage, "check the path"},
		"two files":            {w.admin, func() []string { return []string{"a", "b"} }, exitUsage, "one update"},
		"asked for nothing":    {w.admin, func() []string { return []string{"-older", "v0"} }, exitUsage, "need the file"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := w.racs(tt.credential, append([]string{"update"}, tt.args()...)...)
			if status != tt.status || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("status %d, %q\n%s; want %d and %q", status, stdout, stderr, tt.status, tt.want)
			}
		})
	}
	if b, err := os.ReadFile(w.box.slot); err != nil || !bytes.Equal(b, make([]byte, 4<<20)) {
		t.Errorf("the slot was written, %v", err)
	}
	if status, _, stderr := w.racs(w.admin, "list", "-older", "v0"); status != exitUsage || !strings.Contains(stderr, "racs update alone") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if hint := bundleHint(strings.TrimSuffix(w.file(nil), ".update") + ".img"); !strings.Contains(hint, "tses.update") {
		t.Errorf("hint %q", hint)
	}
}

// cut makes the file of an update longer, or shorter.
func (w *updateWorld) cut(by int64) string {
	w.t.Helper()
	path := w.file(nil)
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()+by)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return path
}

func tomorrow(o *update.Order) { o.Built = time.Now().Add(25 * time.Hour).Unix() }

func bootChange(o *update.Order) {
	o.Boot, o.BootName = io.ReadSeeker(bytes.NewReader(make([]byte, 512))), "k2"
}

func TestUpdateOfNoBox(t *testing.T) {
	ts := stptest.Start(t, stptest.Options{Handlers: map[string]stp.Handler{"another": new(updatable)}})
	var errs bytes.Buffer
	status := run(t.Context(), []string{
		"-server", ts.Addr, "-ca", filepath.Join(ts.Dir, "ca.pem"), "-cred", ts.CredentialFile("admin", access.Administrative), "update",
	}, func(string) string { return "" }, strings.NewReader(""), io.Discard, &errs)
	if status != exitNoSession || !strings.Contains(errs.String(), "takes no updates") {
		t.Errorf("status %d, %s", status, &errs)
	}
}
