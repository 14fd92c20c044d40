//go:build linux

package trial

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

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
	version  string            // of what is installed, v2 unless it is set
	signer   *ecdsa.PrivateKey // of what is installed, the owner unless it is set
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
	w.built(1)
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

// built says when what runs was built, in seconds of Unix time.
func (w *world) built(at int64) {
	w.t.Helper()
	text, err := json.Marshal(sdcard.Build{Time: time.Unix(at, 0).UTC(), Version: "v1"})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(w.watch.Owner), buildFile), text, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// install puts an update in a slot, by the owner unless another signs it.
func (w *world) install(s slots.Slot, boot []byte) {
	w.t.Helper()
	var b bytes.Buffer
	o := update.Order{Box: "tses-1a2b", Version: cmp.Or(w.version, "v2"), Built: 2, Root: bytes.NewReader(make([]byte, 4096)), Owner: cmp.Or(w.signer, w.owner)}
	if boot != nil {
		o.Boot, o.BootName = bytes.NewReader(boot), "k2"
	}
	if _, err := update.Write(&b, o); err != nil {
		w.t.Fatal(err)
	}
	h, head, err := update.ReadHead(&b, &cmp.Or(w.signer, w.owner).PublicKey)
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
	if got := w.told(); !got.Trial || got.Running != int(slots.B) || !w.watch.OnTrial() {
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
	if got := w.told(); got.Trial || got.Other != w.watch.Card.device(slots.A) || w.watch.OnTrial() {
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

// What somebody has written to the other slot who has broken into the TSES does
// not even restart the box where it may not be started: the first process looks
// itself.
func TestArmedByABurglar(t *testing.T) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(w *world)
		want   error
	}{
		"another's":     {func(w *world) { w.signer = stranger }, update.ErrSignature},
		"another box's": {func(w *world) { w.name("tses-1a2c") }, update.ErrOtherBox},
		"older":         {func(w *world) { w.built(3) }, update.ErrOlder},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, slots.A, slots.A)
			if err := w.watch.Prepare(); err != nil {
				t.Fatal(err)
			}
			tt.change(w)
			w.install(slots.B, nil)
			for range 3 {
				if !w.watch.step(time.Now(), time.Now()) {
					break
				}
			}
			if n := strings.Count(w.log.String(), "may not be started"); len(w.restarts) > 0 || n != 1 {
				t.Errorf("restarts %q, said %d times:\n%s", w.restarts, n, &w.log)
			}
			if tt.want != nil && !strings.Contains(w.log.String(), tt.want.Error()) {
				t.Errorf("the log does not say %q:\n%s", tt.want, &w.log)
			}
			if h, err := w.watch.Card.consume(t.Context(), w.watch.Owner); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("it would be started: %v, %v", h, err)
			}
			if err := os.Remove(filepath.Join(filepath.Dir(w.watch.Owner), buildFile)); err != nil {
				t.Fatal(err)
			}
			w.install(slots.B, nil)
			if h, err := w.watch.Card.consume(t.Context(), w.watch.Owner); err == nil {
				t.Errorf("without a build it would be started: %v", h)
			}
		})
	}
}

// Lines about it are bounded, and it is the newest that counts.
func TestArmedByABurglarAgainAndAgain(t *testing.T) {
	w := newWorld(t, slots.A, slots.A)
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	w.built(3)
	for i := range 3 * maxRefused {
		w.version = fmt.Sprint("v", i)
		w.install(slots.B, nil)
		if !w.watch.step(time.Now(), time.Now()) {
			t.Fatalf("restarts %q", w.restarts)
		}
	}
	if n := strings.Count(w.log.String(), "may not be started"); n != maxRefused {
		t.Errorf("%d lines, want %d", n, maxRefused)
	}
	w.built(2)
	w.version = "v2"
	w.install(slots.B, nil)
	if w.watch.step(time.Now(), time.Now()) || len(w.restarts) != 1 {
		t.Errorf("a good one behind them: restarts %q", w.restarts)
	}
}

// A boot partition is put in place by the record of the slot that runs, if that
// is this box's and no older one's.
func TestBootPartitionOfAnother(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"another box's": func(w *world) { w.name("tses-1a2c") },
		"older":         func(w *world) { w.built(3) },
	} {
		w := newWorld(t, slots.B, slots.B)
		w.install(slots.B, newer(t))
		change(w)
		if err := w.watch.Prepare(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if w.hasNewer() || w.told().Trial {
			t.Errorf("%s: changed %v, told %+v", name, w.hasNewer(), w.told())
		}
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

// newer is a boot partition with another kernel.
func newer(t *testing.T) []byte {
	return slotstest.BootPartition(t, "/vmlinuz", strings.Repeat("newer!", 1000), "/cmdline.txt", slotstest.KernelArgs, "/loader/entries/gokrazy.conf", slotstest.LoaderText)
}

// hasNewer tells whether that is the card's.
func (w *world) hasNewer() bool {
	b, err := os.ReadFile(w.watch.Card.devices[bootPartition])
	if err != nil {
		w.t.Error(err)
	}
	return bytes.Contains(b, []byte("newer!"))
}

// The boot partition is changed behind the confirmation, and the box restarts
// for it. Until then an administrator is not told that it is over.
func TestBootPartitionChanges(t *testing.T) {
	w := newWorld(t, slots.B, slots.A)
	w.install(slots.B, newer(t))
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	w.well = true
	began := time.Unix(1e9, 0)
	w.watch.step(began, began)
	if w.hasNewer() {
		t.Fatal("it was changed before the update was confirmed")
	}
	if w.watch.step(began.Add(settle), began) || len(w.restarts) != 1 || !w.hasNewer() || !w.selected(slots.B) {
		t.Errorf("restarts %q, changed %v, selected %v", w.restarts, w.hasNewer(), w.selected(slots.B))
	}
	if got := w.told(); !got.Trial {
		t.Errorf("before the restart it told %+v, want that the trial goes on", got)
	}
	// What a power cut has left is completed at the next start.
	w.watch.Card.Started = slots.B
	next := func(what string, boot []byte) {
		t.Helper()
		if err := os.WriteFile(w.watch.Card.devices[bootPartition], boot, 0o600); err != nil {
			t.Fatal(err)
		}
		w.next()
		if err := w.watch.Prepare(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if !w.hasNewer() || !w.selected(slots.B) || w.told().Trial {
			t.Errorf("%s: changed %v, told %+v", what, w.hasNewer(), w.told())
		}
		if !w.watch.step(began, began) || len(w.restarts) > 1 {
			t.Errorf("%s: restarts %q", what, w.restarts)
		}
	}
	next("nothing of it", slotstest.UsualBoot(t))
	half := newer(t)
	clear(half[:len(half)/2]) // which names no slot
	next("half of it", half)
}

// next is the next start of the box.
func (w *world) next() {
	o := w.watch
	w.watch = &Watch{
		Card: o.Card, Owner: o.Owner, File: o.File, User: o.User, Healthy: o.Healthy, Starts: o.Starts, Restart: o.Restart, Log: o.Log, change: o.change,
	}
	if err := os.Remove(o.File); err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
}

var errCard = errors.New("the card does not answer")

// failing is what the first calls of ChangeBoot return; the later ones work.
type failing []struct {
	written bool
	err     error
}

func (f failing) change(calls *int) func(boot, p *slots.Partition, h *update.Header, s slots.Slot) (bool, error) {
	return func(boot, p *slots.Partition, h *update.Header, s slots.Slot) (bool, error) {
		if *calls++; *calls <= len(f) {
			return f[*calls-1].written, f[*calls-1].err
		}
		return slots.ChangeBoot(boot, p, h, s)
	}
}

// A change of the boot partition that fails is tried until it is complete, on
// trial as at a later start, and the box does not restart before. One that was
// refused, or that not a byte was written of, does not keep the box from its next
// update for ever.
func TestBootPartitionChangeFails(t *testing.T) {
	midway := failing{{true, errCard}, {false, errCard}, {true, errCard}}
	for _, tt := range []struct {
		name  string
		fails failing
		want  bool // that it is changed in the end
	}{
		{"midway", midway, true},
		{"refused midway", failing{{true, errCard}, {false, slots.ErrReadBack}}, true},
		{"not begun", failing{{false, errCard}, {false, errCard}}, true},
		{"refused", failing{{false, slots.ErrReadBack}}, false},
		{"of another disk", failing{{false, fmt.Errorf("it is: %w", slots.ErrBoot)}}, false},
		{"never begun", slices.Repeat(failing{{false, errCard}}, bootTries), false},
	} {
		for _, trial := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/trial %v", tt.name, trial), func(t *testing.T) {
				w, calls := newWorld(t, slots.B, slots.A), 0
				w.install(slots.B, newer(t))
				w.watch.change = tt.fails.change(&calls)
				if !trial {
					w.watch.Card.Started = slots.B
				}
				if err := w.watch.Prepare(); err != nil {
					t.Fatal(err)
				}
				w.well = true
				began := time.Now()
				for at := time.Duration(0); at < settle && trial; at += pollEvery {
					w.watch.step(began.Add(at), began)
				}
				// Behind the limit of a trial, too.
				now, last := began.Add(limit), time.Time{}
				for end := now.Add((bootTries + 2) * bootEvery); now.Before(end); now = now.Add(pollEvery) {
					before := calls
					goes := w.watch.step(now, began)
					if over := calls > len(tt.fails) || !tt.want && calls == len(tt.fails); !over && (!goes || len(w.restarts) > 0) {
						t.Fatalf("after %d tries: restarts %q", calls, w.restarts)
					}
					told, err := sdcard.ReadSlots(w.watch.File)
					if calls < len(tt.fails) && err == nil && !told.Trial {
						t.Fatalf("after %d tries: told %+v", calls, told)
					}
					if calls > before {
						if now.Sub(last) < bootEvery {
							t.Fatalf("it tries again after %v", now.Sub(last))
						}
						last = now
					}
					if !goes {
						break
					}
				}
				if got := len(w.restarts); got != 0 != tt.want && got != 1 == tt.want {
					t.Errorf("restarts %q, want one: %v", w.restarts, tt.want)
				}
				if w.hasNewer() != tt.want {
					t.Errorf("changed %v, want %v", w.hasNewer(), tt.want)
				}
				if told, err := sdcard.ReadSlots(w.watch.File); !tt.want && (err != nil || told.Trial) {
					t.Errorf("it takes no updates: told %+v, %v", told, err)
				}
				if !w.selected(slots.B) {
					t.Error("it is not selected")
				}
				if strings.Contains(w.log.String(), "cannot be confirmed") {
					t.Errorf("log: %s", &w.log)
				}
			})
		}
	}
}

// Where all but the last sync has been done before, there is nothing to be
// written any more, and the restart has to come all the same.
func TestBootPartitionChangeFailsAtTheLastSync(t *testing.T) {
	w, calls := newWorld(t, slots.B, slots.A), 0
	w.install(slots.B, newer(t))
	w.watch.change = failing{{true, errCard}, {false, nil}}.change(&calls)
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	w.well = true
	began := time.Unix(1e9, 0)
	for at := time.Duration(0); at < settle+2*bootEvery && w.watch.step(began.Add(at), began); at += pollEvery {
		if len(w.restarts) > 0 || !w.told().Trial {
			t.Fatalf("after %d tries: restarts %q, told %+v", calls, w.restarts, w.told())
		}
	}
	if len(w.restarts) != 1 || calls != 2 {
		t.Errorf("restarts %q after %d tries, want one after two", w.restarts, calls)
	}
}

// A boot partition that is overwritten in part is overwritten to the end before
// Run ends, for a box that goes down.
func TestOverwritingIsNotLeft(t *testing.T) {
	w, calls := newWorld(t, slots.B, slots.A), 0
	w.install(slots.B, newer(t))
	w.watch.change = failing{{true, errCard}, {true, errCard}}.change(&calls)
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	w.well = true
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.watch.Run(ctx)
		}()
		for !w.watch.Overwriting() {
			time.Sleep(pollEvery)
		}
		cancel()
		synctest.Wait()
		select {
		case <-ended:
			t.Fatal("it was left overwritten in part")
		default:
		}
		<-ended
		if w.watch.Overwriting() || calls != 3 || !w.hasNewer() {
			t.Errorf("overwriting %v after %d tries, changed %v", w.watch.Overwriting(), calls, w.hasNewer())
		}
	})
}

// An update that waits and could not be taken away is not what the box restarts
// for, again and again. One that comes later is.
func TestArmedForEver(t *testing.T) {
	w := newWorld(t, slots.A, slots.A)
	w.install(slots.B, nil)
	record := func() []byte {
		b, err := os.ReadFile(w.watch.Card.device(slots.B))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	same := record()
	if err := w.watch.Prepare(); err != nil || !strings.Contains(w.log.String(), "does not restart for it") {
		t.Errorf("Prepare: %v, log %s", err, &w.log)
	}
	for range 3 {
		if !w.watch.step(time.Now(), time.Now()) || len(w.restarts) > 0 {
			t.Fatalf("restarts %q", w.restarts)
		}
	}
	if got := w.told(); got.Trial {
		t.Errorf("told %+v", got)
	}
	// The same update is sent again: its record was gone in between.
	for _, b := range [][]byte{make([]byte, len(same)), same} {
		if len(w.restarts) > 0 {
			t.Errorf("restarts %q for no record", w.restarts)
		}
		if err := os.WriteFile(w.watch.Card.device(slots.B), b, 0o600); err != nil {
			t.Fatal(err)
		}
		w.watch.step(time.Now(), time.Now())
	}
	if len(w.restarts) != 1 {
		t.Errorf("restarts %q, want one", w.restarts)
	}
	// Another one.
	w.next()
	w.restarts = nil
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	w.version = "v3"
	w.install(slots.B, nil)
	if w.watch.step(time.Now(), time.Now()) || len(w.restarts) != 1 {
		t.Errorf("restarts %q, want one", w.restarts)
	}
}

// guardVar makes a test's program a process for the tests of the guard.
const guardVar = "TSES_TEST_GUARD"

// TestGuardProcess is no test but such a process: it is there for a while after
// the slot B is selected in a file, or for ever.
func TestGuardProcess(t *testing.T) {
	switch boot := os.Getenv(guardVar); boot {
	case "":
	case "for ever":
		select {}
	default:
		if !confirmed(boot, slots.B, time.Now().Add(time.Minute), time.Millisecond) {
			t.Error("it was not confirmed")
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func startGuardProcess(t *testing.T, what string) (pid int) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestGuardProcess$")
	cmd.Env = append(os.Environ(), guardVar+"="+what)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the test has not ended it
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestEndGuard(t *testing.T) {
	pid := startGuardProcess(t, "for ever")
	if err := endGuard(pid, 20*time.Millisecond); err == nil {
		// It may take the kernel longer than that.
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("it is still there: %v", err)
		}
	} else if !awaitEnd(pid, 10*time.Second) {
		t.Error(err)
	}
	if err := endGuard(pid, time.Second); err != nil {
		t.Errorf("one that is not there: %v", err)
	}
}

// The guard cannot read the boot partition while that is overwritten, and would
// restart the box then. So it is gone before.
func TestGuardIsGoneBeforeTheBootPartitionChanges(t *testing.T) {
	w := newWorld(t, slots.B, slots.A)
	w.install(slots.B, newer(t))
	pid := startGuardProcess(t, w.watch.Card.devices[bootPartition])
	t.Setenv(GuardEnv, strconv.Itoa(pid))
	w.watch.change = func(boot, p *slots.Partition, h *update.Header, s slots.Slot) (bool, error) {
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("it is still there: %v", err)
		}
		return slots.ChangeBoot(boot, p, h, s)
	}
	if err := w.watch.Prepare(); err != nil {
		t.Fatal(err)
	}
	w.well = true
	began := time.Unix(1e9, 0)
	w.watch.step(began, began)
	if w.watch.step(began.Add(settle), began) || !w.hasNewer() || len(w.restarts) != 1 {
		t.Errorf("restarts %q, changed %v", w.restarts, w.hasNewer())
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
	// The last look is not before the deadline but behind it.
	if !confirmed(boot, slots.B, time.Now().Add(-time.Hour), time.Hour) {
		t.Error("it was confirmed just before the deadline")
	}
}
