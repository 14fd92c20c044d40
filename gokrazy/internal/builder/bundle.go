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
	// It holds the box's key: CreateTemp lets nobody else read it.
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(part, 1<<20)
	_, err = update.Write(w, o)
	if err == nil {
		err = w.Flush()
	}
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), os.Remove(part.Name()))
	}
	b.result.Update = path
	return nil
}
