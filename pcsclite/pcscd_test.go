//go:build linux

package pcsclite_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/pcsclite/pcsctest"
)

// TestClientWithPCSCD talks to pcscd with its virtual reader.
func TestClientWithPCSCD(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p := vpcd.Start(t, "A")
	card := p.Insert("A0", driverstest.NewScripted(driverstest.Options{}))
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	c, err := pcsclite.Dial(ctx, pcsclite.DefaultPath)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	major, minor := c.Version()
	t.Logf("pcscd speaks %d:%d", major, minor)
	reader := p.Reader("A0")
	waitForCard(t, ctx, c, reader, pcsclite.Present)
	talk(t, ctx, c, reader)
	each := pcsctest.NewProber(t).Measure(t, pcsctest.Target{Reader: reader}, 500, "00A4040000", "00B0000003")
	t.Logf("an APDU through pcscd and its virtual reader takes %v", each)
	if err := card.Pull(); err != nil {
		t.Error(err)
	}
	waitForCard(t, ctx, c, reader, pcsclite.Absent)
	if err := c.Release(ctx); err != nil {
		t.Error(err)
	}
}

func waitForCard(t *testing.T, ctx context.Context, c *pcsclite.Client, reader string, want pcsclite.Status) {
	t.Helper()
	var known []pcsclite.ReaderState
	for {
		states, err := c.Watch(ctx, known)
		if err != nil {
			t.Fatalf("reader %s did not become %#x: %v; %+v", reader, want, err, known)
		}
		for _, s := range states {
			if s.Name == reader && s.Status&want != 0 && (want == pcsclite.Absent || len(s.ATR) > 0) {
				return
			}
		}
		known = states
	}
}

// talk makes every request of the client.
func talk(t *testing.T, ctx context.Context, c *pcsclite.Client, reader string) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	conn, err := c.Connect(ctx, reader, pcsclite.Shared, pcsclite.ProtocolAny)
	must("connect", err)
	must("begin", conn.Begin(ctx))
	for _, n := range []int{16, 256} {
		got, err := conn.Transmit(ctx, []byte{0x80, 0x10, byte(n >> 8), byte(n), byte(n)})
		if err != nil || len(got) != n+2 {
			t.Errorf("GET of %d bytes: %d bytes, %v", n, len(got), err)
		}
	}
	got, err := conn.Transmit(ctx, []byte{0x80, 0x10, 0x10, 0x00, 0, 0x10, 0x00})
	if err != nil || len(got) != 0x1002 {
		t.Errorf("extended: %d bytes, %v", len(got), err)
	}
	must("end", conn.End(ctx, pcsclite.Leave))
	must("status", conn.Status(ctx))
	const tagATR = 0x0303 // all that the virtual reader's driver knows
	if atr, err := conn.Attrib(ctx, tagATR); err != nil || len(atr) == 0 {
		t.Errorf("ATR: %X, %v", atr, err)
	}
	if err := conn.SetAttrib(ctx, pcsclite.AttrMaxInput, []byte{1}); err == nil {
		t.Error("an attribute of the reader could be set")
	}
	if _, err := conn.Control(ctx, 0x42000001, nil); err == nil {
		t.Error("an unknown control code did well")
	}
	if features, err := conn.Control(ctx, pcsclite.GetFeatureRequest, nil); err == nil {
		t.Logf("features: %X", features)
	}
	must("reconnect", conn.Reconnect(ctx, pcsclite.Exclusive, pcsclite.ProtocolAny, pcsclite.Reset))
	other, err := pcsclite.Dial(ctx, pcsclite.DefaultPath)
	must("second context", err)
	defer other.Close()
	if _, err := other.Connect(ctx, reader, pcsclite.Shared, pcsclite.ProtocolAny); !errors.Is(err, pcsclite.ESharingViolation) {
		t.Errorf("connect beside an exclusive one: %v, want %v", err, pcsclite.ESharingViolation)
	}
	must("disconnect", conn.Disconnect(ctx, pcsclite.Unpower))
	_, err = other.Connect(ctx, "no such reader", pcsclite.Shared, pcsclite.ProtocolAny)
	if !errors.Is(err, pcsclite.EUnknownReader) {
		t.Errorf("connect to no reader: %v, want %v", err, pcsclite.EUnknownReader)
	}
	cancelWatch(t, ctx, other)
}

// cancelWatch ends a wait from another goroutine. pcscd answers with an invalid
// handle as long as nobody waits.
func cancelWatch(t *testing.T, ctx context.Context, c *pcsclite.Client) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		known, err := c.Readers(ctx)
		for err == nil {
			known, err = c.Watch(ctx, known)
		}
		ended <- err
	}()
	for {
		if err := c.Cancel(ctx); err != nil && !errors.Is(err, pcsclite.EInvalidHandle) {
			t.Fatalf("cancel: %v", err)
		}
		select {
		case err := <-ended:
			if !errors.Is(err, pcsclite.ECancelled) {
				t.Errorf("the wait ended with %v, want %v", err, pcsclite.ECancelled)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
