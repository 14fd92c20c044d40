package pcsclite_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
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
	se := driverstest.NewScripted(driverstest.Options{})
	s, reader, atr := serveSE(t, "scripted card 00 00", se)
	g := pcsctest.Target{Socket: s.Path(), Reader: reader.Name()}
	t.Run("basic", func(t *testing.T) { pcsctest.Basic(t, g, atr) })
	t.Run("pyscard", func(t *testing.T) { pcsctest.Pyscard(t, g, atr) })
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
