package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/gokrazy/slots"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/stptest"
	"github.com/cloud-of-se/tses/update"
)

// racs is the program with the files and the server of a world.
func (w *world) racs(t *testing.T, stdin string, credential string) *program {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"ca.pem", credential} {
		if err := os.WriteFile(filepath.Join(dir, name), w.files[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &program{stdin: strings.NewReader(stdin), stdout: new(strings.Builder), stderr: new(strings.Builder), now: time.Now}
	p.server, p.ca, p.cred = w.addresses["RACS_SERVER"], filepath.Join(dir, "ca.pem"), filepath.Join(dir, credential)
	return p
}

const evilScript = "BEGIN x\nECHO x\nEND\n"

// A script's answers are printed as they came.
func TestRunPrintsWhatCame(t *testing.T) {
	p := newWorld(t).racs(t, evilScript, "hostile.pem")
	if err := p.script(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got, want := p.stdout.(*strings.Builder).String(), "BEGIN x\r\n+009 001 "+evil+"\r\nEND\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// doctor ends, however many SEs a server lists.
func TestDoctorEnds(t *testing.T) {
	p := newWorld(t).racs(t, "", "crowd.pem")
	err := (&doctor{program: p, options: p.options(), limit: time.Millisecond}).run(t.Context())
	got := p.stdout.(*strings.Builder).String()
	if exitStatus(err) != exitServerError || !strings.Contains(got, " of 2000 were tried within 1ms\n     racs reset SEID") || strings.Count(got, "SE well") > 1900 {
		t.Errorf("status %d, %d SEs:\n%.1000s", exitStatus(err), strings.Count(got, "SE well"), got)
	}
}

// A signal does not wait for the end of standard input.
func TestInterruptedInput(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := newWorld(t).racs(t, "", "user.pem")
	p.stdin = read
	if got := p.run(ctx, []string{"apdu", "well", "-"}, func(string) string { return "" }); got != exitInterrupted {
		t.Errorf("status %d", got)
	}
}

// A box is believed nothing either.
func TestHostileBox(t *testing.T) {
	w := newUpdateWorld(t)
	s := w.state("1", "v1\x1b]0;x\x07\u202e", slots.A, false)
	s.Running.Box = "tses\x1b[2J"
	w.box.now.Store(s)
	status, stdout, stderr := w.racs(w.admin, "update")
	if want := `tses\x1b[2J runs v1\x1b]0;x\x07\u202e of `; status != exitWell || !strings.HasPrefix(stdout, want) {
		t.Errorf("status %d, %q, %q; want %q", status, stdout, stderr, want)
	}
	w.ts = stptest.Start(t, stptest.Options{Handlers: map[string]stp.Handler{update.Protocol: refuser(update.WordNo + " \x1b[2J\u202eno\x9b")}})
	status, stdout, stderr = w.racs(w.ts.CredentialFile("admin", access.Administrative), "update")
	if want := `racs: the box does not take it: \x1b[2J\u202eno\x9b` + "\n"; status != exitServerError || stdout != "" || stderr != want {
		t.Errorf("status %d, %q, %q; want %q", status, stdout, stderr, want)
	}
}

// refuser says one line.
type refuser string

func (r refuser) Serve(_ context.Context, c *stp.Conn, _ *stp.Session) error {
	_, err := io.WriteString(c, string(r)+"\n")
	return err
}
