package boottest

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cloud-of-se/tses/gokrazy/internal/builder"
	"github.com/cloud-of-se/tses/internal/needs"
)

// Card is an image, its box and the owner.
type Card struct {
	*builder.Result
	Image string // the file
}

// Shared is a card that the tests of a program share. The zero value makes the
// card that users make; Remove it behind the last test.
type Shared struct {
	Options builder.Options // as for Make

	once sync.Once
	dir  string
	card *Card
	err  error
}

// Card makes the card when the first test asks for it. The test is skipped
// unless everything is asked for; without QEMU it then fails.
func (s *Shared) Card(ctx context.Context, t testing.TB) *Card {
	t.Helper()
	needs.Asked(t, "boots an emulated machine")
	program(t)
	s.once.Do(func() {
		if s.dir, s.err = os.MkdirTemp("", "tses-boottest-*"); s.err == nil {
			s.card, s.err = Make(ctx, s.dir, s.Options)
		}
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.card
}

// Remove removes what was made.
func (s *Shared) Remove() error { return os.RemoveAll(s.dir) }

// Make makes a card in a directory. Where o does not say whose, of what and
// from what, it is of this tree, with an owner in that directory.
func Make(ctx context.Context, dir string, o builder.Options) (*Card, error) {
	if o.Repository == "" {
		out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cloud-of-se/tses").Output()
		if err != nil {
			return nil, err
		}
		o.Repository = strings.TrimSpace(string(out))
	}
	if o.Owner == "" {
		o.Owner = filepath.Join(dir, "owner")
	}
	if o.Output == "" {
		o.Output = filepath.Join(dir, "card.img")
	}
	made, err := builder.Build(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Card{Result: made, Image: o.Output}, nil
}

// Copy copies the card's image for a machine that writes to it.
func (c *Card) Copy(t testing.TB) (disk string) {
	t.Helper()
	disk = filepath.Join(t.TempDir(), "card.img")
	from, err := os.Open(c.Image)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close() // read only: closing it loses nothing
	to, err := os.Create(disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(copySparse(to, from), to.Close()); err != nil {
		t.Fatal(err)
	}
	return disk
}

// copySparse leaves holes where there are zeros.
func copySparse(to io.WriterAt, from *os.File) error {
	zeros := make([]byte, 1<<20)
	b := make([]byte, len(zeros))
	for at := int64(0); ; {
		n, err := from.ReadAt(b, at)
		if string(b[:n]) != string(zeros[:n]) || err != nil && n > 0 {
			if _, err := to.WriteAt(b[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
