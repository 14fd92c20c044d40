package builder

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/gokrazy/internal/image"
	"github.com/cloud-of-se/tses/update"
)

// updatePath is where the update goes that holds the same as an image.
func updatePath(output string) string {
	return strings.TrimSuffix(output, filepath.Ext(output)) + ".update"
}

// rootUnit is what a root file system's size is rounded up to, in bytes.
const rootUnit = 4096

// bundle writes the update beside the image, for boxes that run already: the
// root file system and, where it is asked for by name, the boot partition,
// signed by the owner.
func (b *build) bundle(context.Context) (err error) {
	im, err := image.Open(b.part, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, im.Close()) }()
	size := (b.result.RootBytes + rootUnit - 1) / rootUnit * rootUnit
	o := update.Order{
		Box: b.Name, Version: b.version, Built: b.Time.Unix(), Owner: b.result.Owner.authority.Signer(),
		Root: io.NewSectionReader(im.Section(image.RootA), 0, size),
	}
	if b.Boot != "" {
		o.Boot, o.BootName = im.Section(image.Boot), b.Boot
	}
	path := updatePath(b.Output)
	err = writeBundle(path, func(w io.Writer) error {
		_, err := update.Write(w, o)
		return err
	})
	if err == nil {
		b.result.Update = path
	}
	return err
}

// writeBundle lets a bundle be written. Until it is whole, path is what it was.
func writeBundle(path string, write func(io.Writer) error) error {
	// It holds the box's key: CreateTemp lets nobody else read it.
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(part, 1<<20)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), os.Remove(part.Name()))
	}
	return nil
}

// PermitOlder signs an update that was kept once more with the key of the owner in
// a directory, into output: it may then take the place of what a box runs that was
// built at replaces or before, though it is older itself. It makes no owner.
func PermitOlder(owner, kept, output string, replaces time.Time) (*update.Header, error) {
	authority, err := access.OpenAuthority(owner)
	if err != nil {
		return nil, fmt.Errorf("owner: %w", err)
	}
	f, err := os.Open(kept)
	if err != nil {
		return nil, fmt.Errorf("the update that was kept: %w", err)
	}
	defer f.Close() // read only: closing it loses nothing
	if _, _, _, err := update.Inspect(f); err != nil {
		return nil, fmt.Errorf("%s: %w", kept, err)
	}
	var h *update.Header
	err = writeBundle(output, func(w io.Writer) (err error) {
		h, err = update.Permit(w, f, authority.Signer(), replaces.Unix())
		return err
	})
	return h, err
}
