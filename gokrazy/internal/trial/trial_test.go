//go:build linux

package trial

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/gokrazy/slots"
	"github.com/cloud-of-se/tses/gokrazy/slots/slotstest"
	"github.com/cloud-of-se/tses/update"
)

const (
	gpt  = "root=PARTUUID=60c24cc1-f3f9-427a-8199-484e4bf20001/PARTNROFF="
	rest = " init=/gokrazy/init rootwait panic=10 oops=panic"
)

func TestStarted(t *testing.T) {
	for cmdline, want := range map[string]slots.Slot{
		"console=tty1 " + gpt + "1" + rest + "  \n": slots.A,
		gpt + "2" + rest:                              slots.B,
		gpt + "1" + rest + " " + gpt + "2":            slots.B, // the last one holds
		"root=/dev/mmcblk0p2":                         slots.A,
		"root=/dev/sda3 quiet":                        slots.B,
		"root=/dev/nvme0n1p3":                         slots.B,
		"quiet":                                       0,
		gpt + "3":                                     0,
		"root=/dev/mmcblk0p23":                        0,
		"nfsroot=/dev/sda2":                           0,
		"root=PARTUUID=60c24cc1-02":                   0,
		"root=/dev/mmcblk0p1":                         0,
		"init=/x root=/dev/vda2 root=/dev/vda4 quiet": slots.A,
	} {
		got, err := started(cmdline)
		if got != want || errors.Is(err, errCmdline) != (want == 0) {
			t.Errorf("%q: %v, %v; want %v", cmdline, got, err, want)
		}
	}
}

// sysfs makes what /sys has for a disk with partitions, and returns the
// directory of one of them.
func sysfs(t *testing.T, disk string, own int, partitions ...int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), disk)
	for _, n := range partitions {
		part := filepath.Join(dir, fmt.Sprintf("%sp%d", disk, n))
		if err := os.MkdirAll(part, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(part, "partition"), fmt.Appendln(nil, n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, fmt.Sprintf("%sp%d", disk, own))
}

func TestFind(t *testing.T) {
	c, err := find(sysfs(t, "mmcblk0", 3, 1, 2, 3, 4), gpt+"1"+rest)
	if err != nil {
		t.Fatal(err)
	}
	if c.Running != slots.B || c.Started != slots.A || !c.Trial() || c.device(slots.A) != "/dev/mmcblk0p2" || c.devices[bootPartition] != "/dev/mmcblk0p1" {
		t.Errorf("got %+v", c)
	}
	if c, err := find(sysfs(t, "mmcblk0", 2, 1, 2, 3, 4), gpt+"1"); err != nil || c.Trial() {
		t.Errorf("got %+v, %v", c, err)
	}
	for name, block := range map[string]string{
		"the boot partition": sysfs(t, "mmcblk0", 1, 1, 2, 3, 4),
		"/perm":              sysfs(t, "mmcblk0", 4, 1, 2, 3, 4),
		"no other slot":      sysfs(t, "mmcblk0", 2, 1, 2, 4),
		"no such device":     filepath.Join(t.TempDir(), "x"),
		"no partition":       t.TempDir(),
	} {
		if c, err := find(block, gpt+"1"); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// world is a card of files.
type world struct {
	t        *testing.T
	owner    *ecdsa.PrivateKey
	watch    *Watch
	log      bytes.Buffer
	well     bool
	starts   int
	restarts []string
}

func newWorld(t *testing.T, running, started slots.Slot) *world {
	t.Helper()
	dir := t.TempDir()
	owner, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &owner.PublicKey, owner)
	if err != nil {
		t.Fatal(err)
	}
	devices := map[int]string{}
	for n, content := range map[int][]byte{1: slotstest.UsualBoot(t), 2: make([]byte, 4<<20), 3: make([]byte, 4<<20)} {
		devices[n] = filepath.Join(dir, fmt.Sprintf("p%d", n))
		if err := os.WriteFile(devices[n], content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, owner: owner}
	w.watch = &Watch{
		Card:  &Card{Running: running, Started: started, devices: devices},
		Owner: filepath.Join(dir, "owner-ca.pem"), File: filepath.Join(dir, "run", "slots"), User: os.Getuid(),
		Healthy: func() bool { return w.well }, Starts: func() int { return w.starts }, Restart: func(why string) { w.restarts = append(w.restarts, why) },
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	if err := os.WriteFile(w.watch.Owner, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	w.name("tses-1a2b")
	return w
}

// name gives the box its name.
func (w *world) name(name string) {
	w.t.Helper()
	path := filepath.Join(filepath.Dir(w.watch.Owner), nameFile)
	if err := os.WriteFile(path, []byte(name+"\n"+name+".local\n"), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// install puts an update in a slot, by the owner unless another signs it.
func (w *world) install(s slots.Slot, boot []byte) {
	w.t.Helper()
	var b bytes.Buffer
	o := update.Order{Box: "tses-1a2b", Version: "v2", Built: 2, Root: bytes.NewReader(make([]byte, 4096)), Owner: w.owner}
	if boot != nil {
		o.Boot, o.BootName = bytes.NewReader(boot), "k2"
	}
	if _, err := update.Write(&b, o); err != nil {
		w.t.Fatal(err)
	}
	h, head, err := update.ReadHead(&b, &w.owner.PublicKey)
	if err != nil {
		w.t.Fatal(err)
	}
	err = with(func(p []*slots.Partition) error {
		return slots.Install(w.t.Context(), p[0], h, head, &b, func(slots.Step, int64) {})
	}, w.watch.Card.device(s))
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) selected(s slots.Slot) bool {
	w.t.Helper()
	return confirmed(w.watch.Card.devices[bootPartition], s, time.Now().Add(10*time.Millisecond), time.Millisecond)
}

func (w *world) told() sdcard.Slots {
	w.t.Helper()
	s, err := sdcard.ReadSlots(w.watch.File)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// A trial is confirmed when the TSES has been well long enough without a break.
func TestConfirm(t *testing.T) {
	w := newWorld(t, slots.B, slots.A)
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	if got := w.told(); !got.Trial || got.Running != int(slots.B) {
		t.Errorf("told %+v", got)
	}
	began := time.Unix(1e9, 0)
	// It is well from the second 2 on, but for the second 6.
	const last = 8 * time.Second
	for at := time.Duration(0); at < last+settle; at += pollEvery {
		w.well = at >= 2*time.Second && at != 6*time.Second
		if !w.watch.step(began.Add(at), began) || w.selected(slots.B) {
			t.Fatalf("after %v: selected %v, restarts %q", at, w.selected(slots.B), w.restarts)
		}
	}
	if !w.watch.step(began.Add(last+settle), began) || !w.selected(slots.B) {
		t.Errorf("well for %v: not selected", settle)
	}
	if got := w.told(); got.Trial || got.Other != w.watch.Card.device(slots.A) {
		t.Errorf("told %+v", got)
	}
	// From now on it may be unwell without being taken back.
	w.well = false
	if !w.watch.step(began.Add(2*limit), began) || len(w.restarts) > 0 {
		t.Errorf("restarts %q", w.restarts)
	}
}

// One that crashes again and again may look well whenever it is looked at.
func TestCrashing(t *testing.T) {
	w := newWorld(t, slots.B, slots.A)
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	began := time.Unix(1e9, 0)
	w.well = true
	for at := time.Duration(0); at < limit; at += pollEvery {
		if at%(8*time.Second) == 0 {
			w.starts++
		}
		if !w.watch.step(began.Add(at), began) || w.selected(slots.B) {
			t.Fatalf("after %v: selected %v, restarts %q", at, w.selected(slots.B), w.restarts)
		}
	}
	if w.watch.step(began.Add(limit), began) || w.selected(slots.B) {
		t.Errorf("restarts %q", w.restarts)
	}
}

func TestTakenBack(t *testing.T) {
	w := newWorld(t, slots.B, slots.A)
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	began := time.Unix(1e9, 0)
	for at := time.Duration(0); at < limit; at += pollEvery {
		w.well = at%(8*time.Second) != 0 // never long enough
		if !w.watch.step(began.Add(at), began) {
			t.Fatalf("after %v: restarts %q", at, w.restarts)
		}
	}
	w.well = false
	if w.watch.step(began.Add(limit), began) || len(w.restarts) != 1 || w.selected(slots.B) {
		t.Errorf("restarts %q", w.restarts)
	}
}

func TestArmed(t *testing.T) {
	w := newWorld(t, slots.A, slots.A)
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	if !w.watch.step(time.Now(), time.Now()) {
		t.Fatalf("restarts %q", w.restarts)
	}
	w.install(slots.B, nil)
	if w.watch.step(time.Now(), time.Now()) || len(w.restarts) != 1 {
		t.Errorf("restarts %q", w.restarts)
	}
	if err := os.Rename(filepath.Join(filepath.Dir(w.watch.Owner), nameFile), filepath.Join(t.TempDir(), nameFile)); err != nil {
		t.Fatal(err)
	}
	if h, err := w.watch.Card.consume(t.Context(), w.watch.Owner); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("consume without a name: %v, %v", h, err)
	}
	w.name("tses-1a2c")
	if h, err := w.watch.Card.consume(t.Context(), w.watch.Owner); !errors.Is(err, update.ErrOtherBox) {
		t.Errorf("consume as another box: %v, %v", h, err)
	}
	w.name("tses-1a2b")
	w.install(slots.B, nil)
	h, err := w.watch.Card.consume(t.Context(), w.watch.Owner)
	if err != nil || h.Version != "v2" {
		t.Fatalf("consume: %v, %v", h, err)
	}
	if _, err := w.watch.Card.consume(t.Context(), w.watch.Owner); !errors.Is(err, slots.ErrNotDue) {
		t.Errorf("consume again: %v", err)
	}
	if err := w.watch.Prepare(); err != nil || !strings.Contains(w.log.String(), "v2") {
		t.Errorf("the next start: %v, log %s", err, &w.log)
	}
}

// Boot files that a power cut has left different agree again.
func TestPrepareSettles(t *testing.T) {
	w := newWorld(t, slots.A, slots.A)
	err := with(func(p []*slots.Partition) error { return slots.Select(p[0], slots.B) }, w.watch.Card.devices[bootPartition])
	if err != nil {
		t.Fatal(err)
	}
	if err := w.watch.Prepare(); err != nil || !w.selected(slots.A) {
		t.Errorf("Prepare: %v", err)
	}
	if err := os.WriteFile(w.watch.Card.devices[bootPartition], make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(w.watch.File); err != nil {
		t.Fatal(err)
	}
	if err := w.watch.Prepare(); err == nil {
		t.Error("a boot partition that is none: no error")
	}
	if _, err := sdcard.ReadSlots(w.watch.File); err == nil {
		t.Error("updates are taken though the boot partition is none")
	}
}

// The boot partition is changed behind the confirmation, and the box restarts
// for it.
func TestBootPartitionChanges(t *testing.T) {
	next := slotstest.BootPartition(t, "/vmlinuz", strings.Repeat("newer!", 1000), "/cmdline.txt", slotstest.KernelArgs, "/loader/entries/gokrazy.conf", slotstest.LoaderText)
	w := newWorld(t, slots.B, slots.A)
	w.install(slots.B, next)
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	vmlinuz := func() bool {
		b, err := os.ReadFile(w.watch.Card.devices[bootPartition])
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(b, []byte("newer!"))
	}
	w.well = true
	began := time.Unix(1e9, 0)
	w.watch.step(began, began)
	if vmlinuz() {
		t.Fatal("it was changed before the update was confirmed")
	}
	if w.watch.step(began.Add(settle), began) || len(w.restarts) != 1 || !vmlinuz() || !w.selected(slots.B) {
		t.Errorf("restarts %q, changed %v, selected %v", w.restarts, vmlinuz(), w.selected(slots.B))
	}
	// What a power cut has left is completed at the next start.
	if err := os.WriteFile(w.watch.Card.devices[bootPartition], slotstest.UsualBoot(t), 0o600); err != nil {
		t.Fatal(err)
	}
	w.watch.Card.Started = slots.B
	if err := w.watch.Prepare(); err != nil || !vmlinuz() || !w.selected(slots.B) {
		t.Errorf("Prepare: %v, changed %v", err, vmlinuz())
	}
}

func TestGuard(t *testing.T) {
	w := newWorld(t, slots.B, slots.A)
	boot := w.watch.Card.devices[bootPartition]
	if confirmed(boot, slots.B, time.Now().Add(20*time.Millisecond), time.Millisecond) {
		t.Error("nobody has confirmed it")
	}
	result := make(chan bool)
	go func() { result <- confirmed(boot, slots.B, time.Now().Add(10*time.Second), time.Millisecond) }()
	err := with(func(p []*slots.Partition) error { return slots.Select(p[0], slots.B) }, boot)
	if err != nil || !<-result {
		t.Errorf("it was confirmed: %v", err)
	}
}
