package pcscdoor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/stp/racs"
)

// Options say what a [Door] shows.
type Options struct {
	// Dial opens a session with the TSES.
	Dial func(ctx context.Context) (*racs.Client, error)
	// SEIDs are the SEs to be shown. None are all that the credential may
	// use, as far as there is room for readers.
	SEIDs []string
	// Name gives an SE the name of its reader; nil leaves it the SEID.
	Name func(seid string) string
	// CallTimeout ends a command to an SE, and its session; 0 is
	// [racs.APDUTimeout], longer than what the TSES gives an SE that works. A
	// TSES that does not answer the door itself ends it earlier.
	CallTimeout time.Duration
	// OpenTimeout is how long the TSES has, when the door is opened, to say
	// which SEs there are, from connecting on; 0 is 30 s.
	OpenTimeout time.Duration
	// Socket is a path that stays, see [pcsclite.Options].Path.
	Socket string
	// Log hears what goes wrong and what is done about it; nil is nobody.
	Log *slog.Logger
}

// Door shows the SEs of a TSES to PC/SC programs.
type Door struct {
	opts Options
	timing
	log    *slog.Logger
	server *pcsclite.Server
	client *racs.Client // asks which SEs there are; nil while there is no TSES
	shown  map[string]*shown
	pinged time.Time
	told   string // the SEs without a reader that the log has heard of
}

// shown is an SE with a reader.
type shown struct {
	reader *pcsclite.Reader
	card   *card
	atr    []byte
	retry  backoff // of the probe
	next   time.Time
}

// Open connects to the TSES and shows its SEs. It fails where the TSES cannot
// be reached or lacks an SE that was chosen. [Door.Run] must follow, or
// [Door.Close].
func Open(ctx context.Context, opts Options) (*Door, error) {
	return openWith(ctx, opts, inTheField)
}

func openWith(ctx context.Context, opts Options, t timing) (*Door, error) {
	if len(opts.SEIDs) > pcsclite.MaxReaders {
		return nil, fmt.Errorf("%d SEs were chosen: %w", len(opts.SEIDs), pcsclite.ErrFull)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.CallTimeout <= 0 {
		opts.CallTimeout = racs.APDUTimeout
	}
	if opts.OpenTimeout <= 0 {
		opts.OpenTimeout = t.bound
	}
	if opts.Name == nil {
		opts.Name = func(seid string) string { return seid }
	}
	d := &Door{opts: opts, timing: t, log: opts.Log, shown: map[string]*shown{}}
	client, err := opts.Dial(ctx)
	if err != nil {
		return nil, err
	}
	d.client = client
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Door) open(ctx context.Context) error {
	seids, err := d.list(ctx, d.opts.OpenTimeout)
	if err != nil {
		return err
	}
	for _, seid := range d.opts.SEIDs {
		if !slices.Contains(seids, seid) {
			return fmt.Errorf("SE %q: the credential may use %s: %w", seid, words(seids), ErrNoSE)
		}
	}
	if d.server, err = pcsclite.Listen(pcsclite.Options{Path: d.opts.Socket, Log: d.log, CallTimeout: d.opts.CallTimeout}); err != nil {
		return err
	}
	return d.reconcile(ctx, seids)
}

// ErrNoSE: the TSES has no such SE for this credential.
var ErrNoSE = errors.New("no such SE")

func words(seids []string) string {
	if len(seids) == 0 {
		return "none"
	}
	return strings.Join(seids, ", ")
}

// Path is the socket for programs, see [pcsclite.Server.Path].
func (d *Door) Path() string { return d.server.Path() }

// Run serves programs until ctx is done, and then closes the door.
func (d *Door) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { d.follow(ctx) })
	err := d.server.Serve(ctx)
	cancel()
	wg.Wait()
	return errors.Join(err, d.Close())
}

// Close ends all sessions and removes the socket.
func (d *Door) Close() error {
	var err error
	if d.server != nil {
		err = d.server.Close()
	}
	for _, s := range d.shown {
		s.card.close()
	}
	d.lose()
	return err
}

// lose ends the door's own session.
func (d *Door) lose() {
	if d.client != nil {
		_ = d.client.Close() // it is of no more use, however it ends
	}
	d.client = nil
}
