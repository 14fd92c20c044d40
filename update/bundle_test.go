package update

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sectors(n int, fill string) []byte { return bytes.Repeat([]byte(fill), n*512/len(fill)) }

// order is one with a root of three sectors and a boot partition of two.
func order(key *ecdsa.PrivateKey) Order {
	return Order{
		Box: "tses-1a2b", Version: "v1.2.3", Built: 1_800_000_000,
		Root: bytes.NewReader(sectors(3, "root")), Boot: bytes.NewReader(sectors(2, "boot")), BootName: "6.12.47",
		Owner: key,
	}
}

func bundle(t testing.TB, o Order) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	key := newKey(t)
	whole := bundle(t, order(key))
	if again := bundle(t, order(key)); !bytes.Equal(whole, again) {
		t.Error("two bundles of the same order differ")
	}
	// One byte at a time, so that nothing relies on what a read brings.
	r := iotest.OneByteReader(bytes.NewReader(whole))
	h, raw, err := ReadHead(r, &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw, whole[:len(raw)]) {
		t.Error("the raw head is not the bundle's beginning")
	}
	if got, want := h.String(), "v1.2.3 of 2027-01-15T08:00:00Z for tses-1a2b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var root, boot bytes.Buffer
	if err := errors.Join(CopyPart(&root, r, h.Root), CopyPart(&boot, r, *h.Boot)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(root.Bytes(), sectors(3, "root")) || !bytes.Equal(boot.Bytes(), sectors(2, "boot")) {
		t.Error("the parts are not what was put in")
	}
	if n, _ := r.Read(make([]byte, 1)); n != 0 {
		t.Error("the bundle goes on")
	}
	if peeked, err := Peek(bytes.NewReader(whole)); err != nil || peeked.String() != h.String() {
		t.Errorf("Peek: %v, %v", peeked, err)
	}
}

func headLength(whole []byte) int {
	n := len(magic) + 4 + int(binary.BigEndian.Uint32(whole[len(magic):]))
	return n + 2 + int(binary.BigEndian.Uint16(whole[n:]))
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	key := newKey(t)
	whole := bundle(t, order(key))
	head := headLength(whole)
	for i := range head {
		for bit := range 8 {
			changed := bytes.Clone(whole)
			changed[i] ^= 1 << bit
			if h, _, err := ReadHead(bytes.NewReader(changed), &key.PublicKey); err == nil {
				t.Errorf("byte %d bit %d: read as %v", i, bit, h)
			}
		}
	}
	for i := head; i < len(whole); i += 97 {
		changed := bytes.Clone(whole)
		changed[i] ^= 0x20
		r := bytes.NewReader(changed)
		h, _, err := ReadHead(r, &key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(CopyPart(io.Discard, r, h.Root), CopyPart(io.Discard, r, *h.Boot))
		if !errors.Is(err, ErrDigest) {
			t.Errorf("byte %d of the content: %v, want %v", i, err, ErrDigest)
		}
	}
}

func TestEveryShortBundleIsRefused(t *testing.T) {
	key := newKey(t)
	whole := bundle(t, order(key))
	for n := range len(whole) {
		r := bytes.NewReader(whole[:n])
		h, _, err := ReadHead(r, &key.PublicKey)
		want := ErrFormat
		if n >= headLength(whole) {
			want = ErrDigest
			err = errors.Join(CopyPart(io.Discard, r, h.Root), CopyPart(io.Discard, r, *h.Boot))
		}
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", n, err, want)
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	owner, stranger := newKey(t), newKey(t)
	if _, _, err := ReadHead(bytes.NewReader(bundle(t, order(stranger))), &owner.PublicKey); !errors.Is(err, ErrSignature) {
		t.Errorf("another owner's: %v, want %v", err, ErrSignature)
	}
	// A signature of the same key over the same header, for another use.
	whole := bundle(t, order(owner))
	signed, _, err := readHead(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(signed[len(magic)+4:])
	other, err := ecdsa.SignASN1(rand.Reader, owner, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	forged := append(binary.BigEndian.AppendUint16(bytes.Clone(signed), uint16(len(other))), other...)
	if _, _, err := ReadHead(bytes.NewReader(forged), &owner.PublicKey); !errors.Is(err, ErrSignature) {
		t.Errorf("a signature without the magic: %v, want %v", err, ErrSignature)
	}
}

// What the owner has signed is refused all the same where it makes no sense.
func TestSignedNonsenseIsRefused(t *testing.T) {
	good := Header{Box: "b", Version: "v1", Built: 1, Root: Part{Size: 512}}
	for name, change := range map[string]func(*Header){
		"no box":              func(h *Header) { h.Box = "" },
		"a box with a space":  func(h *Header) { h.Box = "a b" },
		"a box like a flag":   func(h *Header) { h.Box = "-a" },
		"a long version":      func(h *Header) { h.Version = strings.Repeat("v", MaxName+1) },
		"a line in a version": func(h *Header) { h.Version = "v\n1" },
		"before all time":     func(h *Header) { h.Built = -1 },
		"after all time":      func(h *Header) { h.Built = maxTime + 1 },
		"an empty root":       func(h *Header) { h.Root.Size = 0 },
		"a negative root":     func(h *Header) { h.Root.Size = -512 },
		"a broken sector":     func(h *Header) { h.Root.Size = 513 },
		"too great a root":    func(h *Header) { h.Root.Size = MaxPart + 512 },
		"a root with a name":  func(h *Header) { h.Root.Name = "x" },
		"a nameless boot":     func(h *Header) { h.Boot = &Part{Size: 512} },
		"an empty boot":       func(h *Header) { h.Boot = &Part{Name: "x"} },
	} {
		h := good
		change(&h)
		if err := h.check(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := good.check(); err != nil {
		t.Errorf("the good one: %v", err)
	}
	for _, text := range []string{``, `{}`, `[]`, `{"box":"b","version":"v1","built":1,"root":{"size":512,"sha256":"00"}}`, `{"more":1}`} {
		if h, err := parseHeader([]byte(text)); err == nil {
			t.Errorf("%s: %v", text, h)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Order){
		"another curve":    func(o *Order) { o.Owner = p384 },
		"a broken sector":  func(o *Order) { o.Root = strings.NewReader("x") },
		"a nameless boot":  func(o *Order) { o.BootName = "" },
		"an unsafe name":   func(o *Order) { o.Version = "v1 v2" },
		"a time before it": func(o *Order) { o.Built = 0 },
	} {
		o := order(newKey(t))
		change(&o)
		var b bytes.Buffer
		if _, err := Write(&b, o); err == nil || b.Len() > 0 {
			t.Errorf("%s: error %v after %d bytes, want one before any", name, err, b.Len())
		}
	}
}

func TestAllow(t *testing.T) {
	box := Running{Box: "tses-1a2b", Version: "v1", Built: 100}
	boot := &Part{Name: "k2", Size: 512}
	for _, tt := range []struct {
		name string
		h    Header
		a    Asked
		want error
	}{
		{"newer", Header{Box: box.Box, Built: 101}, Asked{}, nil},
		{"the same", Header{Box: box.Box, Built: 100}, Asked{}, nil},
		{"older", Header{Box: box.Box, Version: "v0", Built: 99}, Asked{}, ErrOlder},
		{"older, asked for", Header{Box: box.Box, Version: "v0", Built: 99}, Asked{Older: "v0"}, ErrOlder},
		{"older, permitted", Header{Box: box.Box, Version: "v0", Built: 99, Replaces: 100}, Asked{}, ErrOlder},
		{"older, permitted, another asked for", Header{Box: box.Box, Version: "v0", Built: 99, Replaces: 100}, Asked{Older: "v1"}, ErrOlder},
		{"older, permitted too little, asked for", Header{Box: box.Box, Version: "v0", Built: 98, Replaces: 99}, Asked{Older: "v0"}, ErrOlder},
		{"older, permitted, asked for", Header{Box: box.Box, Version: "v0", Built: 99, Replaces: 100}, Asked{Older: "v0"}, nil},
		{"another box", Header{Box: "tses-9", Built: 101}, Asked{}, ErrOtherBox},
		{"boot", Header{Box: box.Box, Built: 101, Boot: boot}, Asked{}, ErrBootChange},
		{"boot, another asked for", Header{Box: box.Box, Built: 101, Boot: boot}, Asked{Boot: "k1"}, ErrBootChange},
		{"boot, asked for", Header{Box: box.Box, Built: 101, Boot: boot}, Asked{Boot: "k2"}, nil},
	} {
		if got := tt.h.Allow(box, tt.a); !errors.Is(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if (&Header{Box: box.Box, Built: 101}).Allow(box, Asked{Boot: "k2"}) == nil {
		t.Error("a boot partition that is not there was asked for: no error")
	}
}

// A box that knows the time does not take what would set its clock ahead for
// ever.
func TestAllowAhead(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		name  string
		built time.Time
		now   time.Time
		asked Asked
		want  error
	}{
		{"now", now, now, Asked{}, nil},
		{"a day ahead", now.Add(maxAhead), now, Asked{}, nil},
		{"more than a day ahead", now.Add(maxAhead + time.Second), now, Asked{}, ErrAhead},
		{"asked for as older", now.Add(maxAhead + time.Second), now, Asked{Older: "v2"}, ErrAhead},
		{"at the end of time", time.Unix(maxTime, 0), now, Asked{}, ErrAhead},
		{"the box does not know the time", now.Add(10 * maxAhead), time.Time{}, Asked{}, nil},
	} {
		h := Header{Box: "b", Version: "v2", Built: tt.built.Unix()}
		if err := h.Allow(Running{Box: "b", Built: 1, Now: tt.now}, tt.asked); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// A permitted bundle is the one that was kept but for its head, which nobody but
// the owner can make.
func TestPermit(t *testing.T) {
	key, o := newKey(t), order(newKey(t))
	o.Owner = key
	kept := bundle(t, o)
	var b bytes.Buffer
	h, err := Permit(&b, bytes.NewReader(kept), key, o.Built+5)
	if err != nil || h.Replaces != o.Built+5 {
		t.Fatalf("%+v, %v", h, err)
	}
	got, raw, err := ReadHead(bytes.NewReader(b.Bytes()), &key.PublicKey)
	if err != nil || got.Replaces != o.Built+5 || got.String() != h.String() {
		t.Fatalf("%+v, %v", got, err)
	}
	if !bytes.Equal(b.Bytes()[len(raw):], kept[headLength(kept):]) {
		t.Error("the content is another")
	}
	for name, tt := range map[string]struct {
		bundle   []byte
		owner    *ecdsa.PrivateKey
		replaces int64
		want     error
	}{
		"another's":         {kept, newKey(t), o.Built + 5, ErrSignature},
		"short":             {kept[:len(kept)-1], key, o.Built + 5, ErrDigest},
		"no bundle":         {kept[1:], key, o.Built + 5, ErrFormat},
		"before it was":     {kept, key, o.Built - 1, nil},
		"after all time":    {kept, key, maxTime + 1, nil},
		"before there was ": {kept, key, -1, nil},
	} {
		if _, err := Permit(io.Discard, bytes.NewReader(tt.bundle), tt.owner, tt.replaces); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func FuzzReadHead(f *testing.F) {
	key := newKey(f)
	whole := bundle(f, order(key))
	f.Add(whole)
	f.Add(whole[:50])
	f.Add([]byte(magic + "\xff\xff\xff\xff"))
	head := whole[:headLength(whole)]
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		if h, raw, err := ReadHead(r, &key.PublicKey); err == nil && !bytes.Equal(raw, head) {
			t.Errorf("%v was not signed", h)
		}
		if most := len(magic) + 4 + MaxHeader + 2 + MaxSignature; len(b)-r.Len() > most {
			t.Errorf("read %d bytes, want at most %d", len(b)-r.Len(), most)
		}
		if h, err := Peek(bytes.NewReader(b)); err == nil && h.check() != nil {
			t.Errorf("Peek: %v: %v", h, h.check())
		}
	})
}
