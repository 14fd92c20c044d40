// Package builder makes the image of an SD card: it packs kernel, firmware,
// init and the TSES with gokrazy's packer, formats /perm, and puts in the
// configuration, the box's identity and its owner's trust.
//
// It needs the Go toolchain and nothing else: no root, no loop device, no other
// program. What is downloaded comes through Go's module proxy and is pinned by
// the go.sum files of the repository.
package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/internal/ext4"
	"github.com/cloud-of-se/tses/gokrazy/internal/image"
)

// Size is how large an image is, in bytes: boot partition, two root file systems
// of 500 MiB, and 176 MiB for /perm, where the state of a TSES and its log take
// a few. It is small because all of it is written to the card. What a card has
// beyond it stays unused.
const Size = 1280 << 20

// Options say what card is wanted.
type Options struct {
	Repository string // the directory of this project's go.mod
	Output     string // the image; one that is there is replaced
	Owner      string // the owner's directory; made where there is none
	Name       string // of the box; "" is a new one with a random name, where there is no other
	New        bool   // without a Name a new box, whichever there are
	Board      string // the model of Raspberry Pi, for chips on its buses; "" for none
	Config     string // the configuration file; "" for the defaults
	// WifiFirmware is the directory with the Wi-Fi chip's firmware; "" is this
	// machine's own.
	WifiFirmware string
	// Tags are build tags of init and the TSES: cards for tests have some.
	Tags []string
	// Boot is the name of the boot partition that the update brings; "" is an
	// update that leaves a box's boot partition as it is.
	Boot string
	// Time is what all files are dated; zero is when this version was first built
	// for the box.
	Time     time.Time
	Progress io.Writer // what is being done; nil for silence
	Verbose  io.Writer // what the packer says too; nil to show it with errors alone
}

// grace is how long a program that was told to end may hold its output open.
const grace = 5 * time.Second

// Result is what was made.
type Result struct {
	Output    string
	Update    string // the same for a box that runs, see package update
	Name      string // of the box
	Owner     *Owner
	NewOwner  bool
	Port      string // that the TSES will listen on
	SEID      string // of the first SE
	Pins      string // what to connect for SEs on pins, a signal a line
	Wifi      string // the network's name where the box is connected by Wi-Fi
	RootBytes int64  // of the root file system, which has 500 MiB
	SHA256    string
}

// Build makes an image. Where it fails, Output is as it was.
func Build(ctx context.Context, o Options) (*Result, error) {
	b := &build{Options: o, began: time.Now()}
	if b.Progress == nil {
		b.Progress = io.Discard
	}
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"checking the configuration", b.readConfiguration},
		{"owner and identity", b.identify},
		{"compiling the packer", b.compilePacker},
		{"compiling for the card and packing", b.pack},
		{"formatting /perm", b.finish},
		{"SHA-256", b.sum},
		{"writing the update", b.bundle},
	}
	defer b.cleanUp()
	if err := b.prepare(); err != nil {
		return nil, err
	}
	for _, s := range steps {
		if err := b.step(ctx, s.what, s.do); err != nil {
			return nil, fmt.Errorf("%s: %w", s.what, err)
		}
	}
	// Only now what was there is replaced.
	if err := os.Rename(b.part, o.Output); err != nil {
		return nil, err
	}
	b.part = ""
	b.result.Output = o.Output
	return &b.result, nil
}

// build is one that is under way.
type build struct {
	Options
	began  time.Time
	saying sync.Mutex // guards Progress
	work   string     // temporary: what is given to the packer
	part   string     // the image until it is complete
	packer string     // the program
	config configuration
	box    *Box
	// version names the sources and the configuration.
	version string
	result  Result
}

// patience is after how long, and how often, a step that takes its time says
// that it is still at work.
const patience = 15 * time.Second

// step does one step.
func (b *build) step(ctx context.Context, what string, do func(context.Context) error) error {
	b.say("%s", what)
	var talking sync.WaitGroup
	done := make(chan struct{})
	defer talking.Wait()
	defer close(done)
	talking.Go(func() {
		tick := time.NewTicker(patience)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				b.say("still %s; the first time, all of it is downloaded and compiled", what)
			}
		}
	})
	return do(ctx)
}

func (b *build) say(format string, args ...any) {
	b.saying.Lock()
	defer b.saying.Unlock()
	// Progress is for people: whether they see it changes nothing.
	_, _ = fmt.Fprintf(b.Progress, "[%5.1f s] %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

func (b *build) prepare() error {
	if info, err := os.Stat(b.Output); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file; make an image first, and write it to the card then", b.Output)
	}
	if beside := updatePath(b.Output); beside == b.Output {
		return fmt.Errorf("%s is how the update is called that is written beside the image; give the image another name, such as %s.img",
			b.Output, strings.TrimSuffix(b.Output, filepath.Ext(b.Output)))
	}
	output, err := filepath.Abs(b.Output)
	if err != nil {
		return err
	}
	if b.Repository, err = filepath.Abs(b.Repository); err != nil {
		return err
	}
	// It holds the box's key for a while: MkdirTemp lets nobody else in.
	if b.work, err = os.MkdirTemp("", "tses-card-*"); err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(output), "."+filepath.Base(output)+".*")
	if err != nil {
		return err
	}
	b.part = part.Name() // of mode 0600, since the image holds the key too
	return part.Close()
}

// cleanUp removes what is temporary. What cannot be removed is named in the
// progress: it holds the key.
func (b *build) cleanUp() {
	for _, path := range []string{b.work, b.part} {
		if path == "" {
			continue
		}
		if err := os.RemoveAll(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			b.say("%s is left behind and holds the box's key, remove it: %v", path, err)
		}
	}
}

// finish does to the packer's image what the packer does not.
func (b *build) finish(context.Context) (err error) {
	im, err := image.Open(b.part, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, im.Close()) }()
	if err := im.Normalise(b.Time); err != nil {
		return err
	}
	uuid, seed := b.box.permIDs()
	err = ext4.Format(im.Writer(image.Perm), ext4.Options{
		Size: im.Partition(image.Perm).Size, UUID: uuid, HashSeed: seed, Label: "perm", Time: b.Time, Zeroed: true,
	})
	if err != nil {
		return err
	}
	if b.result.RootBytes, err = im.RootSize(); err != nil {
		return err
	}
	return im.Sync()
}
