package boottest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/gokrazy/internal/image"
	"github.com/cloud-of-se/tses/stp/racs"
)

const block = 4096 // of the file system on /perm, and in blocks of a group

// wreck overwrites blocks of /perm.
func wreck(t *testing.T, disk string, blocks ...int64) {
	t.Helper()
	im, err := image.Open(disk, false)
	if err != nil {
		t.Fatal(err)
	}
	at := im.Partition(image.Perm).Offset
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, b := range blocks {
		if _, err := f.WriteAt(bytes.Repeat([]byte{0xA5}, block), at+b*block); err != nil {
			t.Fatal(err)
		}
	}
}

// lived makes a disk of a box that has state.
func lived(ctx context.Context, t *testing.T, card *Card) (disk, serial string) {
	t.Helper()
	disk = card.Copy(t)
	m := Start(ctx, t, Options{Card: card, Disk: disk})
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	usePIV(ctx, t, client)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	serial = m.serverSerial(ctx, t)
	// What tells of a loss is written down when the TSES has served.
	if _, err := m.Await(ctx, `this card starts for the first time`); err != nil {
		t.Error(err)
	}
	m.switchOff(ctx, t)
	return disk, serial
}

// A /perm whose beginning is overwritten comes back with all that was on it.
func TestPermIsRepaired(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	card := shared.Card(ctx, t)
	disk, serial := lived(ctx, t, card)
	wreck(t, disk, 0)
	m := Start(ctx, t, Options{Card: card, Disk: disk})
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	usePIV(ctx, t, client)
	if got := m.serverSerial(ctx, t); got != serial {
		t.Error("the box is another one after the repair")
	}
	if _, err := m.Await(ctx, `the file system was repaired`); err != nil {
		t.Error(err)
	}
}

// A /perm that is beyond repair is made anew, and the box says what it has
// lost, at every start from then on, instead of serving new SEs as if they were
// the old ones.
func TestPermIsDestroyed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	card := shared.Card(ctx, t)
	disk, _ := lived(ctx, t, card)
	wreck(t, disk, 0, 1, 2, 3, 4, 32768) // superblock, descriptors, bitmaps, the copy
	for _, pattern := range []string{`IT IS MADE ANEW`, `THIS BOX HAS LOST ITS STATE`} {
		m := Start(ctx, t, Options{Card: card, Disk: disk})
		client, err := m.Dial(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if seids, err := client.List(ctx); err != nil || len(seids) != 2 {
			t.Errorf("List = %q, %v", seids, err)
		}
		_, err = client.PowerOn(ctx, "soft1")
		var status racs.Status
		if !errors.As(err, &status) || status.Class != 8 || status.Verb != 8 || !strings.Contains(err.Error(), "lost its state") {
			t.Errorf("POWERON of a software SE that is lost: %v, want -808 and why", err)
		}
		if _, err := m.Await(ctx, pattern); err != nil {
			t.Error(err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		m.switchOff(ctx, t)
	}
}
