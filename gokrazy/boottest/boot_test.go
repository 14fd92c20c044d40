package boottest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
)

// bound is how long a test may take in all, waiting for other machines too. It
// is no measure of anything.
const bound = 10 * time.Minute

var shared Shared

func TestMain(m *testing.M) {
	status := m.Run()
	for _, s := range []*Shared{&shared, &faulty, &reader, &onAir} {
		if err := s.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

// The first thing that anybody does with a box.
func TestBoot(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	card := shared.Card(ctx, t)
	m := Start(ctx, t, Options{Card: card})
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.List(ctx); err != nil {
		t.Fatal(err)
	}
	answered := time.Since(m.Began)
	usePIV(ctx, t, client)
	taken, err := m.Memory(ctx)
	if err != nil {
		t.Error(err)
	}
	t.Logf("first RACS answer after %.1f s, root file system %.1f MB, memory %.0f MiB",
		answered.Seconds(), float64(card.RootBytes)/1e6, float64(taken)/(1<<20))
	if card.RootBytes > 15e6 {
		t.Errorf("the root file system has %d bytes, more than 15 MB", card.RootBytes)
	}
}

// A Raspberry Pi 3 with its own device tree and its SD card.
func TestBootPi3(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	m := Start(ctx, t, Options{Card: shared.Card(ctx, t), Board: Pi3})
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	t.Logf("first RACS answer after %.1f s", time.Since(m.Began).Seconds())
	usePIV(ctx, t, client)
}

// usePIV finds the software SEs and selects PIV on the first.
func usePIV(ctx context.Context, t *testing.T, client *racs.Client) {
	t.Helper()
	seids, err := client.List(ctx)
	if err != nil || !slices.Equal(seids, []string{"soft1", "soft2"}) {
		t.Fatalf("List = %q, %v, want soft1 and soft2", seids, err)
	}
	if _, err := client.PowerOn(ctx, "soft1"); err != nil {
		t.Fatal(err)
	}
	answer, err := client.Transmit(ctx, "soft1", []byte{0x00, 0xA4, 0x04, 0x00, 0x05, 0xA0, 0x00, 0x00, 0x03, 0x08})
	if err != nil || !bytes.HasPrefix(answer, []byte{0x61}) || !bytes.HasSuffix(answer, []byte{0x90, 0x00}) {
		t.Fatalf("SELECT PIV: %X, %v, want an application property template and 9000", answer, err)
	}
}
