package boottest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/internal/builder"
	"github.com/cloud-of-se/tses/gokrazy/internal/image"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/stp/racs"
	"github.com/cloud-of-se/tses/update"
	"github.com/cloud-of-se/tses/update/client"
)

// newer is another system for the box of the shared card, whose programs fail
// when the kernel's command line asks: those of the card itself do not.
var newer struct {
	once sync.Once
	card *Card
	err  error
}

func newerCard(ctx context.Context, t *testing.T) (old, next *Card) {
	t.Helper()
	old = shared.Card(ctx, t)
	newer.once.Do(func() {
		newer.card, newer.err = Make(ctx, filepath.Dir(old.Image), builder.Options{
			Output: filepath.Join(filepath.Dir(old.Image), "newer.img"), Owner: old.Owner.Dir, Name: old.Name, Tags: []string{"boottest"},
		})
	})
	if newer.err != nil {
		t.Fatal(newer.err)
	}
	return old, newer.card
}

// updating is a box that lives through restarts.
type updating struct {
	t      *testing.T
	ctx    context.Context
	card   *Card
	disk   string
	args   Options // for each start
	m      *Machine
	config *tls.Config
}

// dog is a hardware watchdog that resets the machine.
var dog = []string{"-device", "i6300esb", "-action", "watchdog=reset"}

func newUpdating(t *testing.T, card *Card, o Options) *updating {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*bound)
	t.Cleanup(cancel)
	o.Card, o.Disk, o.Life = card, card.Copy(t), 5*time.Minute
	u := &updating{t: t, ctx: ctx, card: card, disk: o.Disk, args: o}
	cas, err := racs.LoadCA(card.Owner.CA())
	if err != nil {
		t.Fatal(err)
	}
	admin, err := racs.LoadCredential(card.Owner.Admin())
	if err != nil {
		t.Fatal(err)
	}
	u.config = racs.ClientConfig(cas, admin, card.Name+".local")
	u.start()
	return u
}

// start switches the machine on: what its firmware reads is read from the card.
func (u *updating) start() { u.m = Start(u.ctx, u.t, u.args) }

// restarted waits until the machine restarts by itself, and starts it again.
func (u *updating) restarted() {
	u.t.Helper()
	select {
	case <-u.m.Ended():
	case <-u.ctx.Done():
		u.t.Fatalf("it does not restart: %v", u.ctx.Err())
	}
	u.t.Logf("restarted after %.0f s", time.Since(u.m.Began).Seconds())
	u.start()
}

// off switches the box off in good order.
func (u *updating) off() {
	u.t.Helper()
	if err := u.m.PowerButton(u.ctx); err != nil {
		u.t.Fatal(err)
	}
	select {
	case <-u.m.Ended():
	case <-u.ctx.Done():
		u.t.Fatalf("it does not switch itself off: %v", u.ctx.Err())
	}
}

// status asks until the box answers.
func (u *updating) status() update.Status {
	u.t.Helper()
	for {
		s, err := client.Status(u.ctx, u.m.Addr(), u.config, client.Options{Connect: 2 * time.Second, Answer: 5 * time.Second})
		if err == nil {
			return s
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-u.m.Ended():
			u.t.Fatalf("%v; the machine has ended\n%s", err, u.m.Console())
		case <-u.ctx.Done():
			u.t.Fatalf("%v; %v\n%s", err, u.ctx.Err(), u.m.Console())
		}
	}
}

func (u *updating) put(bundle []byte, asked update.Asked) error {
	_, err := client.Put(u.ctx, u.m.Addr(), u.config, client.Options{}, asked, bytes.NewReader(bundle), func(update.Progress) {})
	return err
}

func (u *updating) mustPut(bundle []byte) {
	u.t.Helper()
	if err := u.put(bundle, update.Asked{}); err != nil {
		u.t.Fatalf("%v\n%s", err, u.m.Console())
	}
}

// confirmed waits until the box says that what it runs is no trial.
func (u *updating) confirmed() update.Status {
	u.t.Helper()
	for {
		if s := u.status(); !s.Trial {
			return s
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// runs says which slot has to run in the end, and that the box serves.
func (u *updating) runs(slot string) {
	u.t.Helper()
	if s := u.status(); s.Slot != slot || s.Trial {
		u.t.Fatalf("slot %s runs, trial %v; want %s\n%s", s.Slot, s.Trial, slot, u.m.Console())
	}
	c, err := racs.Dial(u.ctx, u.m.Addr(), u.config, racs.Options{})
	if err != nil {
		u.t.Fatal(err)
	}
	usePIV(u.ctx, u.t, c)
	if err := c.Close(); err != nil {
		u.t.Error(err)
	}
}

func readBundle(t *testing.T, c *Card) []byte {
	t.Helper()
	b, err := os.ReadFile(c.Update)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bundle makes one for the card's box with the root file system of another
// bundle, changed.
func bundleOf(t *testing.T, c *Card, by *ecdsa.PrivateKey, change func(root []byte)) []byte {
	t.Helper()
	r := bytes.NewReader(readBundle(t, c))
	h, err := update.Peek(r)
	if err != nil {
		t.Fatal(err)
	}
	root := make([]byte, h.Root.Size)
	if _, err := io.ReadFull(r, root); err != nil {
		t.Fatal(err)
	}
	change(root)
	var b bytes.Buffer
	_, err = update.Write(&b, update.Order{Box: h.Box, Version: "changed", Built: h.Built, Root: bytes.NewReader(root), Owner: by})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ownerKey is the key of the card's owner.
func ownerKey(t *testing.T, c *Card) *ecdsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Owner.Dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PrivateKey)
}

// partition is what is in a partition of the disk.
func (u *updating) partition(which int) []byte {
	u.t.Helper()
	im, err := image.Open(u.disk, false)
	if err != nil {
		u.t.Fatal(err)
	}
	defer im.Close()
	b, err := io.ReadAll(im.Section(which))
	if err != nil {
		u.t.Fatal(err)
	}
	return b
}

// A good update runs on trial, is confirmed, and stays; and so does the next,
// in the slot of the first.
func TestUpdate(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*bound)
	defer cancel()
	card, next := newerCard(ctx, t)
	u := newUpdating(t, card, Options{Args: dog})
	u.runs("A")
	for _, slot := range []string{"B", "A"} {
		began := time.Now()
		u.mustPut(readBundle(t, next))
		sent := time.Since(began)
		u.restarted()
		if s := u.status(); s.Slot != slot || !s.Trial {
			t.Fatalf("slot %s runs, trial %v; want %s on trial\n%s", s.Slot, s.Trial, slot, u.m.Console())
		}
		u.confirmed()
		t.Logf("sent, written and checked in %.1f s, confirmed after %.1f s in all", sent.Seconds(), time.Since(began).Seconds())
		u.runs(slot)
	} // the second comes in the life in which the first was confirmed
	u.m.PowerCut()
	u.start()
	u.runs("A")
}

// The same where the boot loader of the card itself reads the other boot file,
// with a change of the boot partition besides.
func TestUpdateUEFI(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*bound)
	defer cancel()
	card, next := newerCard(ctx, t)
	u := newUpdating(t, card, Options{Board: UEFI})
	u.runs("A")
	u.mustPut(readBundle(t, next))
	u.restarted()
	if s := u.status(); s.Slot != "B" || !s.Trial {
		t.Fatalf("slot %s runs, trial %v; want B on trial", s.Slot, s.Trial)
	}
	u.confirmed()
	u.m.PowerCut()
	u.start()
	u.runs("B")

	before := u.partition(image.Boot)
	if err := u.put(u.bootChange(next, before), update.Asked{Boot: "kernel"}); err != nil {
		t.Fatal(err)
	}
	u.restarted() // into the trial
	u.restarted() // behind the change
	u.runs("A")
	u.off()
	after := u.partition(image.Boot)
	const want = 4 + 2 // the volume's serial number, and the digit in two files
	if n := different(before, after); n != want {
		t.Errorf("%d bytes of the boot partition are others, want %d", n, want)
	}
}

func different(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// bootChange is an update with a boot partition that has another serial number.
func (u *updating) bootChange(c *Card, boot []byte) []byte {
	u.t.Helper()
	r := bytes.NewReader(readBundle(u.t, c))
	h, err := update.Peek(r)
	if err != nil {
		u.t.Fatal(err)
	}
	root := make([]byte, h.Root.Size)
	if _, err := io.ReadFull(r, root); err != nil {
		u.t.Fatal(err)
	}
	boot = bytes.Clone(boot)
	for i := 39; i < 43; i++ { // BS_VolID
		boot[i] ^= 0x55
	}
	var b bytes.Buffer
	_, err = update.Write(&b, update.Order{
		Box: h.Box, Version: "kernel", Built: h.Built, Root: bytes.NewReader(root),
		Boot: bytes.NewReader(boot), BootName: "kernel", Owner: ownerKey(u.t, c),
	})
	if err != nil {
		u.t.Fatal(err)
	}
	return b.Bytes()
}

// An update that is not the owner's, or that brings a boot partition that nobody
// has asked for, is refused before a byte is written.
func TestUpdateNotSigned(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*bound)
	defer cancel()
	card, next := newerCard(ctx, t)
	u := newUpdating(t, card, Options{})
	u.runs("A")
	before := u.partition(image.RootB)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	flipped := readBundle(t, next)
	// The client reads what it can read; that it is a lie the box has to see.
	flipped[bytes.Index(flipped, []byte(`"built":`))+len(`"built":`)+3] ^= 1
	var boot bytes.Buffer
	_, err = update.Write(&boot, update.Order{
		Box: card.Name, Version: "v", Built: time.Now().Unix(), Root: bytes.NewReader(make([]byte, 4096)),
		Boot: bytes.NewReader(u.partition(image.Boot)), BootName: "kernel", Owner: ownerKey(t, card),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		bundle []byte
		want   string
	}{
		"a stranger's":     {bundleOf(t, next, stranger, func([]byte) {}), "not signed by the box's owner"},
		"changed":          {flipped, "not signed by the box's owner"},
		"a boot partition": {boot.Bytes(), "-boot kernel"},
	} {
		if err := u.put(tt.bundle, update.Asked{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	u.runs("A")
	u.off()
	if !bytes.Equal(before, u.partition(image.RootB)) {
		t.Error("something was written")
	}
}

// Updates that do not boot: no file system, and one whose programs are broken.
func TestUpdateDoesNotBoot(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*bound)
	defer cancel()
	card, next := newerCard(ctx, t)
	u := newUpdating(t, card, Options{Args: dog})
	key := ownerKey(t, card)
	u.runs("A")

	u.mustPut(bundleOf(t, next, key, func(root []byte) { clear(root[:96]) }))
	u.restarted() // into A, which cannot mount it and goes on
	u.runs("A")
	if s := u.status(); s.Last == nil || s.Last.State != "tried" {
		t.Errorf("the last update is %+v, want one that was tried", s.Last)
	}

	u.mustPut(bundleOf(t, next, key, func(root []byte) {
		for at := 4096; at < len(root)/2; at += 512 {
			root[at] ^= 0xFF
		}
	}))
	u.restarted() // into the trial
	u.restarted() // and back
	u.runs("A")
}

// Updates that boot and are not well: an init that hangs and is ended by the
// watchdog, a TSES that crashes again and again and is judged by init, and an
// init that does not judge, which the old one's guard sees.
func TestUpdateIsNotWell(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*bound)
	defer cancel()
	card, next := newerCard(ctx, t)
	for _, tt := range []struct {
		name string
		slow bool // waits for a limit to pass
		o    Options
	}{
		{"init hangs", false, Options{Args: dog, Append: []string{"tses.starve=1"}}},
		{"the TSES crashes", true, Options{Args: dog, Append: []string{"tses.fault=crash"}}},
		{"init forgets the trial", true, Options{Args: dog, Append: []string{"tses.fault=forget"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.slow {
				needs.Ended(t, "waits two minutes for a limit to pass; init hangs is of the same way back")
			}
			u := newUpdating(t, card, tt.o)
			u.runs("A")
			u.mustPut(readBundle(t, next))
			u.restarted() // into the trial
			if s := u.status(); s.Slot != "B" || !s.Trial {
				t.Fatalf("slot %s runs, trial %v; want B on trial", s.Slot, s.Trial)
			}
			u.restarted() // and back
			u.runs("A")
			if s := u.status(); s.Last == nil || s.Last.State != "tried" {
				t.Errorf("the last update is %+v, want one that was tried", s.Last)
			}
		})
	}
}

// The power is cut while an update comes, and while it is on trial.
func TestUpdatePowerCuts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*bound)
	defer cancel()
	card, next := newerCard(ctx, t)
	u := newUpdating(t, card, Options{})
	for _, after := range []time.Duration{200 * time.Millisecond, time.Second} {
		u.runs("A")
		cut := time.AfterFunc(after, u.m.PowerCut)
		err := u.put(readBundle(t, next), update.Asked{})
		cut.Stop()
		u.m.PowerCut()
		if refused := new(client.Refusal); errors.As(err, refused) {
			t.Errorf("refused: %v", err)
		}
		t.Logf("cut after %v: %v", after, err)
		u.start()
	}
	// If the last one was written before the cut, it is tried now.
	u.confirmed()
	running := u.status().Slot
	u.mustPut(readBundle(t, next))
	u.m.PowerCut()
	u.start() // into the trial
	if s := u.status(); s.Slot == running || !s.Trial {
		t.Fatalf("slot %s runs, trial %v; want the other on trial\n%s", s.Slot, s.Trial, u.m.Console())
	}
	u.m.PowerCut()
	u.start() // which it had once
	u.runs(running)
}
