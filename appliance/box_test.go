package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/stp/racs"
)

// card is what an SD card brings, and its owner.
type card struct {
	owner *access.Authority
	dir   string
}

func newCard(t *testing.T, config string) card {
	t.Helper()
	owner, err := access.CreateOwner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	id, err := owner.IssueBox("tses-1a2b", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := card{owner, t.TempDir()}
	files := id.Files(owner, nil)
	if config != "" {
		files["config.toml"] = config
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// start runs the box and returns its address.
func (c card) start(t *testing.T, state string) (addr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serve(ctx, flags{box: c.dir, state: state, listen: "127.0.0.1:0"}, w)
		w.CloseWithError(io.EOF)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if a, ok := strings.CutPrefix(lines.Text(), "RACS ready on "); ok {
			go io.Copy(io.Discard, r) // until serve ends
			return a
		}
	}
	t.Fatal("it ended before it was ready")
	return ""
}

// dial connects with a credential of the CA, as the box of that name.
func (c card) dial(t *testing.T, addr, name string, by *access.Authority) (*racs.Client, error) {
	t.Helper()
	_, text, err := by.Issue(access.Order{Name: "admin", Planes: access.User | access.Administrative, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	credential, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return racs.Dial(ctx, addr, racs.ClientConfig([]*x509.Certificate{c.owner.Certificate()}, credential, name), racs.Options{})
}

func TestBox(t *testing.T) {
	c := newCard(t, "[[element]]\nseid = \"sim1\"\ndriver = \"softse\"\n")
	state := filepath.Join(t.TempDir(), "tses")
	addr := c.start(t, state)
	client, err := c.dial(t, addr, "tses-1a2b.local", c.owner)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	seids, err := client.List(t.Context())
	if err != nil || !slices.Equal(seids, []string{"sim1"}) {
		t.Errorf("List = %v, %v, want the SE of the card's configuration", seids, err)
	}
	if _, err := os.Stat(filepath.Join(state, "ca.key")); err == nil {
		t.Error("the box made a CA for clients")
	}
	if other, err := c.dial(t, addr, "tses-ffff.local", c.owner); err == nil {
		other.Close()
		t.Error("the box is taken for another one")
	}
	stranger, err := access.CreateOwner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if other, err := c.dial(t, addr, "tses-1a2b.local", stranger); err == nil {
		other.Close()
		t.Error("the administrator of another owner is let in")
	}
}

func TestBoxListensOnTheNetwork(t *testing.T) {
	for _, tt := range []struct{ config, want string }{
		{"", "0.0.0.0:7777"},
		{"names = []\n", "0.0.0.0:7777"},
		{"listen = \"192.0.2.1:80\"\n", "192.0.2.1:80"},
	} {
		c, err := configured(flags{box: newCard(t, tt.config).dir})
		if err != nil || c.Listen != tt.want {
			t.Errorf("configuration %q: listens on %q, %v, want %q", tt.config, c.Listen, err, tt.want)
		}
	}
}

func TestCheckConfiguration(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"[[element]]\nseid = \"a\"\ndriver = \"softse\"\n", ""},
		{"[[element]]\nseid = \"a\"\ndriver = \"softse\"\n[[element]]\nseid = \"a\"\ndriver = \"softse\"\n", "taken"},
		{"[[element]]\nseid = \"a b\"\ndriver = \"softse\"\n", "SEID"},
		{"[[access.rule]]\nse = [\"a\"]\n", "access rule 1"},
		{"lissen = \"\"\n", "did you mean"},
	} {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := check(flags{config: path})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("check of %q: %v, want %q in it", tt.text, err, tt.want)
		}
	}
}
