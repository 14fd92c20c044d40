package slots

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/update"
)

func TestSelect(t *testing.T) {
	device := strings.NewReplacer("PARTUUID=60c24cc1-f3f9-427a-8199-484e4bf20001/PARTNROFF=1", "/dev/mmcblk0p2")
	for name, files := range map[string][]string{
		"both":    {"/cmdline.txt", kernelArgs, "/loader/entries/gokrazy.conf", loaderText},
		"Pi":      {"/cmdline.txt", kernelArgs},
		"UEFI":    {"/x", "y", "/loader/entries/gokrazy.conf", loaderText},
		"devices": {"/cmdline.txt", device.Replace(kernelArgs), "/loader/entries/gokrazy.conf", device.Replace(loaderText)},
	} {
		t.Run(name, func(t *testing.T) {
			before := bootPartition(t, files...)
			p := &power{left: -1}
			boot := p.partition(bytes.Clone(before))
			for _, s := range []Slot{A, B, B, A} {
				if err := Select(boot, s); err != nil {
					t.Fatal(err)
				}
				for _, which := range []Slot{A, B} {
					if is, err := Selects(boot, which); err != nil || is != (which == s) {
						t.Errorf("%v is selected, for %v: %v, %v", s, which, is, err)
					}
				}
				if s == B && len(diff(before, boot.Medium.(*medium).safe)) != strings.Count(strings.Join(files, ""), "root=") {
					t.Errorf("bytes %v are different, want one in each file", diff(before, boot.Medium.(*medium).safe))
				}
			}
			if d := diff(before, boot.Medium.(*medium).safe); len(d) > 0 {
				t.Errorf("A, B, A: bytes %v are different", d)
			}
		})
	}
}

func diff(a, b []byte) (at []int) {
	for i := range a {
		if a[i] != b[i] {
			at = append(at, i)
		}
	}
	return at
}

func TestStrangeBootPartitionsAreLeftAlone(t *testing.T) {
	for name, files := range map[string][]string{
		"no file":       {"/vmlinuz", "x"},
		"no root":       {"/cmdline.txt", "console=tty1"},
		"two roots":     {"/cmdline.txt", "root=/dev/sda2 root=/dev/sda3"},
		"another root":  {"/cmdline.txt", "root=/dev/sda1"},
		"no slot":       {"/cmdline.txt", "root=PARTUUID=60c24cc1-f3f9-427a-8199-484e4bf20001/PARTNROFF=3"},
		"half a number": {"/cmdline.txt", "root=/dev/mmcblk0p23"},
		"one of two":    {"/cmdline.txt", kernelArgs, "/loader/entries/gokrazy.conf", "title x"},
		"too long":      {"/cmdline.txt", kernelArgs + strings.Repeat(" ", maxBootFile)},
		"not root=":     {"/cmdline.txt", "nfsroot=/dev/sda2"},
	} {
		before := bootPartition(t, files...)
		p := &power{left: -1}
		boot := p.partition(bytes.Clone(before))
		if err := Select(boot, B); !errors.Is(err, ErrBoot) {
			t.Errorf("%s: %v, want %v", name, err, ErrBoot)
		}
		if len(diff(before, boot.Medium.(*medium).safe)) > 0 {
			t.Errorf("%s: it was changed", name)
		}
	}
	half := usualBoot(t)
	clear(half[:len(half)/2])
	if err := Select((&power{left: -1}).partition(half), B); !errors.Is(err, ErrBoot) {
		t.Errorf("half of it: %v, want %v", err, ErrBoot)
	}
}

func FuzzBootPartition(f *testing.F) {
	whole := usualBoot(f)
	// What can be wrong is in front; the rest is the kernel.
	const front = 512 * 6
	f.Add(whole[:front])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > front {
			return
		}
		safe := append(bytes.Clone(b), whole[len(b):]...)
		p := &power{left: -1}
		boot := p.partition(safe)
		before := bytes.Clone(safe)
		err := Select(boot, B)
		changed := diff(before, safe)
		if err != nil && len(changed) > 0 || len(changed) > len(bootFiles) {
			t.Errorf("%v, and bytes %v are changed", err, changed)
		}
		for _, at := range changed {
			if before[at] != '1' && before[at] != '2' {
				t.Errorf("byte %d was %q", at, before[at])
			}
		}
	})
}

func TestRecord(t *testing.T) {
	p := (&power{left: -1}).partition(make([]byte, slotSize))
	if _, err := ReadRecord(p); !errors.Is(err, ErrNoRecord) {
		t.Errorf("a new slot: %v, want %v", err, ErrNoRecord)
	}
	want := &Record{State: Armed, Head: []byte("head")}
	if err := want.write(p); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadRecord(p); err != nil || got.State != Armed || string(got.Head) != "head" {
		t.Errorf("got %+v, %v", got, err)
	}
	safe := p.Medium.(*medium).safe[slotSize-update.Tail:]
	length := recordHead + len(`{"state":"armed","head":"aGVhZA=="}`)
	for i := range length {
		safe[i] ^= 1
		if got, err := ReadRecord(p); !errors.Is(err, ErrNoRecord) {
			t.Errorf("byte %d changed: %+v, %v", i, got, err)
		}
		safe[i] ^= 1
	}
	if err := (&Record{Head: make([]byte, update.Tail)}).write(p); err == nil {
		t.Error("a record that is too long: no error")
	}
}

func FuzzRecord(f *testing.F) {
	p := (&power{left: -1}).partition(make([]byte, slotSize))
	if err := (&Record{State: Armed, Head: []byte("head")}).write(p); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(p.Medium.(*medium).safe[slotSize-update.Tail:]))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRecord(b); (r == nil) != (err != nil) {
			t.Errorf("%v, %v", r, err)
		}
	})
}

func TestInstall(t *testing.T) {
	owner := newOwner(t)
	h, head, body := bundle(t, owner, root(fresh), usualBoot(t))
	h0, head0, body0 := bundle(t, owner, root(fresh), nil)
	// On a file, as on a block device.
	path := filepath.Join(t.TempDir(), "slot")
	if err := os.WriteFile(path, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	p, f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var steps []Step
	err = Install(t.Context(), p, h, head, bytes.NewReader(body), func(s Step, n int64) {
		if len(steps) == 0 || steps[len(steps)-1] != s {
			steps = append(steps, s)
		}
	})
	if err != nil || len(steps) != 2 {
		t.Fatalf("%v after %v", err, steps)
	}
	got, err := Consume(t.Context(), p, &owner.PublicKey, runs)
	if err != nil || got.String() != h.String() {
		t.Fatalf("got %v, %v", got, err)
	}
	if _, err := Consume(t.Context(), p, &owner.PublicKey, runs); !errors.Is(err, ErrNotDue) {
		t.Errorf("a second start: %v, want %v", err, ErrNotDue)
	}
	for name, install := range map[string]func() error{
		"the content is another": func() error {
			return Install(t.Context(), p, h0, head0, bytes.NewReader(root('z')), quiet)
		},
		"the content is short": func() error {
			return Install(t.Context(), p, h0, head0, bytes.NewReader(body0[1:]), quiet)
		},
		"the context is done": func() error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return Install(ctx, p, h0, head0, bytes.NewReader(body0), quiet)
		},
	} {
		if err := Install(t.Context(), p, h0, head0, bytes.NewReader(body0), quiet); err != nil {
			t.Fatal(err)
		}
		if err := install(); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := Consume(t.Context(), p, &owner.PublicKey, runs); !errors.Is(err, ErrNotDue) {
			t.Errorf("%s: %v, want %v", name, err, ErrNotDue)
		}
	}
	small := &Partition{p.Medium, 16 << 10}
	if err := Install(t.Context(), small, h, head, bytes.NewReader(body), quiet); !errors.Is(err, ErrRoom) {
		t.Errorf("a small slot: %v, want %v", err, ErrRoom)
	}
}

// What changed on the card between writing and starting is not started.
func TestConsumeLooksAtTheContent(t *testing.T) {
	owner, stranger := newOwner(t), newOwner(t)
	h, head, body := bundle(t, owner, root(fresh), nil)
	for name, change := range map[string]func(p *Partition) (key int){
		"a bit has flipped": func(p *Partition) int { p.Medium.(*medium).safe[5] ^= 1; return 0 },
		"another's":         func(p *Partition) int { return 1 },
		"another box's":     func(p *Partition) int { return 2 },
		"older":             func(p *Partition) int { return 3 },
	} {
		p := (&power{left: -1}).partition(make([]byte, slotSize))
		if err := Install(t.Context(), p, h, head, bytes.NewReader(body), quiet); err != nil {
			t.Fatal(err)
		}
		key, runs, want := &owner.PublicKey, runs, error(nil)
		switch change(p) {
		case 1:
			key = &stranger.PublicKey
		case 2:
			runs.Box, want = "tses-1a2c", update.ErrOtherBox
		case 3:
			runs.Built, want = h.Built+1, update.ErrOlder
		}
		if _, err := Consume(t.Context(), p, key, runs); err == nil || errors.Is(err, ErrNotDue) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want another error", name, err)
		}
		if _, err := Consume(t.Context(), p, key, runs); !errors.Is(err, ErrNotDue) {
			t.Errorf("%s, again: %v, want %v", name, err, ErrNotDue)
		}
	}
}

// Whoever has broken into the TSES has old bundles of the owner's, and can write
// each of them to the slot. One is started where the owner has signed that it may
// take the place of what runs, and no other.
func TestConsumeOlder(t *testing.T) {
	owner := newOwner(t)
	for name, tt := range map[string]struct {
		built, replaces int64
		want            error
	}{
		"newer":                                {101, 0, nil},
		"the same":                             {100, 0, nil},
		"older":                                {99, 0, update.ErrOlder},
		"older, permitted":                     {99, 100, nil},
		"older, permitted for what ran before": {98, 99, update.ErrOlder},
	} {
		var b bytes.Buffer
		if _, err := update.Write(&b, update.Order{Box: runs.Box, Version: "v", Built: tt.built, Replaces: tt.replaces, Root: bytes.NewReader(root(fresh)), Owner: owner}); err != nil {
			t.Fatal(err)
		}
		h, head, err := update.ReadHead(&b, &owner.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		p := (&power{left: -1}).partition(make([]byte, slotSize))
		if err := Install(t.Context(), p, h, head, &b, quiet); err != nil {
			t.Fatal(err)
		}
		if _, err := Consume(t.Context(), p, &owner.PublicKey, update.Running{Box: runs.Box, Built: 100}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if r, err := ReadRecord(p); err != nil || r.State != Tried {
			t.Errorf("%s: record %+v, %v; want that it has had its start", name, r, err)
		}
	}
}

// liar is a medium that loses a bit.
type liar struct{ *medium }

func (l liar) WriteAt(b []byte, at int64) (int, error) {
	if at == 0 {
		b = bytes.Clone(b)
		b[100] ^= 1
	}
	return l.medium.WriteAt(b, at)
}

func TestInstallReadsBack(t *testing.T) {
	owner := newOwner(t)
	h, head, body := bundle(t, owner, root(fresh), nil)
	p := (&power{left: -1}).partition(make([]byte, slotSize))
	p.Medium = liar{p.Medium.(*medium)}
	if err := Install(t.Context(), p, h, head, bytes.NewReader(body), quiet); !errors.Is(err, ErrReadBack) {
		t.Errorf("got %v, want %v", err, ErrReadBack)
	}
	if _, err := ReadRecord(p); !errors.Is(err, ErrNoRecord) {
		t.Errorf("record: %v, want %v", err, ErrNoRecord)
	}
}

// stubborn is a medium that takes writes and forgets them, as a card does that
// has come to its end.
type stubborn struct{ *medium }

func (stubborn) WriteAt(b []byte, at int64) (int, error) { return len(b), nil }

func TestConsumeOnACardThatTakesNoWrites(t *testing.T) {
	owner := newOwner(t)
	h, head, body := bundle(t, owner, root(fresh), nil)
	p := (&power{left: -1}).partition(make([]byte, slotSize))
	if err := Install(t.Context(), p, h, head, bytes.NewReader(body), quiet); err != nil {
		t.Fatal(err)
	}
	p.Medium = stubborn{p.Medium.(*medium)}
	for range 2 {
		if h, err := Consume(t.Context(), p, &owner.PublicKey, runs); !errors.Is(err, ErrReadBack) {
			t.Errorf("got %v, %v; want %v", h, err, ErrReadBack)
		}
	}
}

// A boot partition that was asked for takes the place of the card's, names the
// slot that runs, and what a power cut has left of the change is completed.
func TestChangeBoot(t *testing.T) {
	owner := newOwner(t)
	next := bootPartition(t, "/vmlinuz", strings.Repeat("newer!", 2000), "/cmdline.txt", kernelArgs, "/loader/entries/gokrazy.conf", loaderText)
	h, head, body := bundle(t, owner, root(fresh), next)
	for cut := 0; ; cut++ {
		pw := &power{left: -1, keep: func() bool { return false }}
		boot, p := pw.partition(append(usualBoot(t), make([]byte, 8<<10)...)), pw.partition(make([]byte, 4<<20))
		if err := Install(t.Context(), p, h, head, bytes.NewReader(body), quiet); err != nil {
			t.Fatal(err)
		}
		pw.on(cut)
		_, err := ChangeBoot(boot, p, h, B)
		pw.on(-1)
		for range 2 {
			changed, err := ChangeBoot(boot, p, h, B)
			if err != nil {
				t.Fatalf("cut after %d: %v", cut, err)
			}
			if !changed {
				break
			}
		}
		if changed, err := ChangeBoot(boot, p, h, B); err != nil || changed {
			t.Fatalf("cut after %d: changed for ever, %v", cut, err)
		}
		got := boot.Medium.(*medium).safe
		if d := diff(next, got); len(d) != len(bootFiles) {
			t.Fatalf("cut after %d: bytes %v are different", cut, d)
		}
		if is, err := Selects(boot, B); !is || err != nil {
			t.Fatalf("B is selected: %v, %v", is, err)
		}
		if err == nil {
			break
		}
	}
	pw := &power{left: -1}
	strange, headStrange, bodyStrange := bundle(t, owner, root(fresh), root('k'))
	if err := Install(t.Context(), pw.partition(make([]byte, 4<<20)), strange, headStrange, bytes.NewReader(bodyStrange), quiet); err == nil {
		t.Error("what is no boot partition: no error")
	}
}

// A boot partition that would look for its root elsewhere does not get on the
// card.
func TestChangeBootOfAnotherDisk(t *testing.T) {
	owner := newOwner(t)
	other := bootPartition(t, "/cmdline.txt", strings.Replace(kernelArgs, "60c24cc1", "60c24cc2", 1))
	h, head, body := bundle(t, owner, root(fresh), other)
	pw := &power{left: -1}
	boot, p := pw.partition(usualBoot(t)), pw.partition(make([]byte, 4<<20))
	if err := Install(t.Context(), p, h, head, bytes.NewReader(body), quiet); err != nil {
		t.Fatal(err)
	}
	if _, err := ChangeBoot(boot, p, h, B); !errors.Is(err, ErrBoot) {
		t.Errorf("got %v, want %v", err, ErrBoot)
	}
	if d := diff(usualBoot(t), boot.Medium.(*medium).safe); len(d) > 0 {
		t.Errorf("bytes %v were changed", d)
	}
}

// What waits has been on the card for a while: a bit that has flipped since does
// not get into the boot partition, at no start.
func TestChangeBootLooksAtTheContent(t *testing.T) {
	owner := newOwner(t)
	next := bootPartition(t, "/vmlinuz", strings.Repeat("newer!", 2000), "/cmdline.txt", kernelArgs, "/loader/entries/gokrazy.conf", loaderText)
	h, head, body := bundle(t, owner, root(fresh), next)
	for name, at := range map[string]int64{"in front": 3, "in a boot file": int64(bytes.Index(next, []byte("root="))), "at the end": int64(len(next)) - 1} {
		pw := &power{left: -1}
		boot, p := pw.partition(usualBoot(t)), pw.partition(make([]byte, 4<<20))
		if err := Install(t.Context(), p, h, head, bytes.NewReader(body), quiet); err != nil {
			t.Fatal(err)
		}
		flip := func() { p.Medium.(*medium).safe[bootOffset(h)+at] ^= 1 }
		flip()
		for range 2 {
			if changed, err := ChangeBoot(boot, p, h, B); changed || !errors.Is(err, ErrReadBack) {
				t.Errorf("%s: changed %v, %v; want %v", name, changed, err, ErrReadBack)
			}
		}
		if d := diff(usualBoot(t), boot.Medium.(*medium).safe); len(d) > 0 {
			t.Errorf("%s: bytes %v were changed", name, d)
		}
		flip()
		if changed, err := ChangeBoot(boot, p, h, B); !changed || err != nil {
			t.Errorf("%s, mended: changed %v, %v", name, changed, err)
		}
	}
}

// An error in the middle says that there is something to be completed.
func TestChangeBootFailsMidway(t *testing.T) {
	owner := newOwner(t)
	next := bootPartition(t, "/vmlinuz", strings.Repeat("newer!", 2000), "/cmdline.txt", kernelArgs)
	h, head, body := bundle(t, owner, root(fresh), next)
	pw := &power{left: -1, keep: func() bool { return true }}
	boot, p := pw.partition(usualBoot(t)), pw.partition(make([]byte, 4<<20))
	if err := Install(t.Context(), p, h, head, bytes.NewReader(body), quiet); err != nil {
		t.Fatal(err)
	}
	pw.on(1)
	if changed, err := ChangeBoot(boot, p, h, B); !changed || !errors.Is(err, errCut) {
		t.Errorf("changed %v, %v; want it changed and %v", changed, err, errCut)
	}
}
