package pcsc

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
	"github.com/cloud-of-se/tses/pcsclite"
)

// plugs is a resource manager whose readers can be plugged in and out while it
// runs, as those of vpcd cannot. It stands where pcscd stands for this process,
// which must not have used libpcsclite before.
func plugs(t *testing.T) *pcsclite.Server {
	t.Helper()
	s, err := pcsclite.Listen(pcsclite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Setenv(pcsclite.EnvPath, s.Path()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// chip is a scripted SE behind a resource manager.
type chip struct {
	*driverstest.Scripted
	mute atomic.Bool
}

func (c *chip) PowerOn(ctx context.Context) ([]byte, error) {
	if c.mute.Load() {
		return nil, pcsclite.WUnresponsiveCard
	}
	return c.Scripted.PowerOn(ctx)
}

func (c *chip) Reset(ctx context.Context) ([]byte, error) {
	if c.mute.Load() {
		return nil, pcsclite.WUnresponsiveCard
	}
	return c.Scripted.Reset(ctx, drivers.Warm)
}

func plug(t *testing.T, s *pcsclite.Server, name string, card *driverstest.Scripted, atr []byte) (*pcsclite.Reader, *chip) {
	t.Helper()
	c := &chip{Scripted: card}
	r, err := s.Plug(name, c)
	if err == nil {
		err = r.Insert(atr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

// Readers are plugged in and out while the TSES runs, beginning with none.
func TestReadersPlugged(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	s := plugs(t)
	found := newShelf()
	startHost(t, NewHost(Options{Found: found, Log: testLog(t)}))
	var seids []string
	began := time.Now()
	for _, name := range []string{"ACS ACR39U 00 00", "OMNIKEY 3x21 01 00", "REINER SCT 02 00", "SCM SCR 3310 (123) 03 00", "Gemalto 04 00", "HID 05 00"} {
		plug(t, s, name, sim(), simATR)
		seids = append(seids, SEID(name, simATR))
		seidsAre(t, found, seids...)
	}
	// Without the notice of new readers each would take a second on average.
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it takes %v to notice six readers", took)
	}
}

// A reader that comes back under another number has the SEID that it had.
func TestReaderComesBack(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	s := plugs(t)
	found := newShelf()
	startHost(t, NewHost(Options{Found: found, Log: testLog(t)}))
	seid := SEID("ACS ACR39U 00 00", simATR)
	first, _ := plug(t, s, "ACS ACR39U 00 00", sim(), simATR)
	seidsAre(t, found, seid)
	se := found.get(seid)
	if !powersOn(t, se) {
		t.Fatal("it does not answer")
	}
	first.Unplug()
	if _, err := se.Transmit(t.Context(), unhex(t, "00B0000002")); !errors.Is(err, drivers.ErrRemoved) {
		t.Errorf("Transmit: %v, want %v", err, drivers.ErrRemoved)
	}
	seidsAre(t, found)
	plug(t, s, "ACS ACR39U 07 00", sim(), simATR)
	seidsAre(t, found, seid)
	if !powersOn(t, found.get(seid)) {
		t.Error("it does not answer when it is back")
	}
}

// A card that does not answer to reset is ErrMute, and is back when it does.
func TestMute(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	s := plugs(t)
	_, card := plug(t, s, "ACS ACR39U 00 00", sim(), simATR)
	card.mute.Store(true)
	h := NewHost(Options{Log: testLog(t)})
	se, err := h.Element(Match{Reader: "ACS*"})
	if err != nil {
		t.Fatal(err)
	}
	startHost(t, h)
	for range 2 {
		if _, err := se.PowerOn(t.Context()); !errors.Is(err, drivers.ErrMute) {
			t.Errorf("PowerOn: %v, want %v", err, drivers.ErrMute)
		}
	}
	card.mute.Store(false)
	if _, err := se.PowerOn(t.Context()); err != nil {
		t.Errorf("PowerOn of a card that answers again: %v", err)
	}
	card.mute.Store(true)
	if _, err := se.Reset(t.Context(), drivers.Cold); !errors.Is(err, drivers.ErrMute) {
		t.Errorf("Reset: %v, want %v", err, drivers.ErrMute)
	}
}
