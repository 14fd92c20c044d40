//go:build unix

package pcsclite_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/softse"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/piv"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/pcsclite/pcsctest"
)

// seCard is a secure element as a card of PC/SC.
type seCard struct{ drivers.SE }

func (c seCard) Reset(ctx context.Context) ([]byte, error) { return c.SE.Reset(ctx, drivers.Warm) }

// serveSE shows an SE in a reader until the test ends.
func serveSE(t *testing.T, name string, se drivers.SE) (*pcsclite.Server, *pcsclite.Reader, []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := pcsclite.Listen(pcsclite.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	r, err := s.Plug(name, seCard{se})
	if err != nil {
		t.Fatal(err)
	}
	atr, err := se.PowerOn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := se.PowerOff(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.Insert(atr); err != nil {
		t.Fatal(err)
	}
	return s, r, atr
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	se := driverstest.NewScripted(driverstest.Options{})
	s, reader, atr := serveSE(t, "scripted card 00 00", se)
	g := pcsctest.Target{Socket: s.Path(), Reader: reader.Name()}
	t.Run("basic", func(t *testing.T) { pcsctest.Basic(t, g, atr) })
	t.Run("pyscard", func(t *testing.T) { pcsctest.Pyscard(t, g, atr) })
	t.Run("killed", func(t *testing.T) { pcsctest.KilledInTransaction(t, g) })
	t.Run("gpg", func(t *testing.T) { pcsctest.GPG(t, g) })
	t.Run("monitor", func(t *testing.T) {
		pcsctest.Monitor(t, g, []pcsctest.Step{
			{Do: reader.Remove, Want: "removed " + g.Reader},
			{Do: func() { insert(t, reader, atr) }, Want: "inserted " + g.Reader},
			{Do: func() { plug(t, s, "another") }, Want: "plugged another"},
		})
	})
	eventually(t, "the card is off when all programs have gone", func() bool { return !se.On() })
}

func TestProgramsOnPIV(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the tools of PIV make RSA keys")
	}
	se, err := softse.New(softse.Opts{Name: "soft1", Packages: []applet.Package{piv.Package()}})
	if err != nil {
		t.Fatal(err)
	}
	trace := &traced{SE: se}
	s, reader, _ := serveSE(t, "Yubico YubiKey soft1", trace)
	pcsctest.PIV(t, pcsctest.Target{Socket: s.Path(), Reader: reader.Name(), Trace: trace.String})
}

func TestGoPIV(t *testing.T) {
	t.Parallel()
	needs.Asked(t, "go-piv's tests take ten seconds, and a minute on a busy machine")
	se, err := softse.New(softse.Opts{Name: "soft1", Packages: []applet.Package{piv.Package()}})
	if err != nil {
		t.Fatal(err)
	}
	s, reader, _ := serveSE(t, "Yubico YubiKey soft1", se)
	pcsctest.GoPIV(t, pcsctest.Target{Socket: s.Path(), Reader: reader.Name()})
}

// traced keeps the last commands. The secrets in them are the test's.
type traced struct {
	drivers.SE
	mu   sync.Mutex
	last []string
}

func (c *traced) keep(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last = append(c.last, line); len(c.last) > 40 {
		c.last = c.last[1:]
	}
}

func (c *traced) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.last, "\n")
}

func (c *traced) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	response, err := c.SE.Transmit(ctx, command)
	c.keep(fmt.Sprintf("> %X\n< %X %v", command, response, err))
	return response, err
}

func (c *traced) PowerOff(ctx context.Context) error {
	c.keep("power off")
	return c.SE.PowerOff(ctx)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func insert(t *testing.T, r *pcsclite.Reader, atr []byte) {
	t.Helper()
	if err := r.Insert(atr); err != nil {
		t.Fatal(err)
	}
}

func plug(t *testing.T, s *pcsclite.Server, name string) *pcsclite.Reader {
	t.Helper()
	r, err := s.Plug(name, seCard{driverstest.NewScripted(driverstest.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
