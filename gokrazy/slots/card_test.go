package slots

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"github.com/cloud-of-se/tses/gokrazy/slots/slotstest"
	"github.com/cloud-of-se/tses/update"
)

// errCut is what every access answers once the power is gone.
var errCut = errors.New("power cut")

// medium is a partition in memory whose power can be cut. What is written is
// in a cache until it is synced; of the cache, whole sectors get to the medium
// when the power goes, chosen by keep.
type medium struct {
	power *power
	safe  []byte
	cache map[int64][]byte // by sector
}

// power is that of all partitions of a card.
type power struct {
	left int // steps until it is cut; negative: never
	keep func() bool
	all  []*medium
}

const sector = 512

// step is one write or sync. It tells whether the power is still there.
func (p *power) step() bool {
	if p.left < 0 {
		return true
	}
	if p.left > 0 {
		p.left--
		return true
	}
	for _, m := range p.all {
		for at, b := range m.cache {
			if p.keep() {
				copy(m.safe[at*sector:], b)
			}
		}
		m.cache = nil
	}
	return false
}

// on turns the power on again, to be cut after so many steps.
func (p *power) on(left int) {
	p.left = left
	for _, m := range p.all {
		m.cache = make(map[int64][]byte)
	}
}

func (p *power) partition(content []byte) *Partition {
	m := &medium{p, content, make(map[int64][]byte)}
	p.all = append(p.all, m)
	return &Partition{m, int64(len(content))}
}

func (m *medium) sectorAt(i int64) []byte {
	if b := m.cache[i]; b != nil {
		return b
	}
	return m.safe[i*sector:][:sector]
}

func (m *medium) ReadAt(b []byte, at int64) (n int, err error) {
	if m.cache == nil {
		return 0, errCut
	}
	for n < len(b) {
		if at+int64(n) >= int64(len(m.safe)) {
			return n, io.EOF
		}
		n += copy(b[n:], m.sectorAt((at + int64(n)) / sector)[(at+int64(n))%sector:])
	}
	return n, nil
}

func (m *medium) WriteAt(b []byte, at int64) (n int, err error) {
	if m.cache == nil {
		return 0, errCut
	}
	for n < len(b) {
		i := (at + int64(n)) / sector
		s := bytes.Clone(m.sectorAt(i))
		n += copy(s[(at+int64(n))%sector:], b[n:])
		m.cache[i] = s
	}
	if !m.power.step() {
		return 0, errCut
	}
	return n, nil
}

func (m *medium) Sync() error {
	if m.cache == nil || !m.power.step() {
		return errCut
	}
	for i, b := range m.cache {
		copy(m.safe[i*sector:], b)
	}
	clear(m.cache)
	return nil
}

const (
	kernelArgs = slotstest.KernelArgs
	loaderText = slotstest.LoaderText
)

var bootPartition, usualBoot = slotstest.BootPartition, slotstest.UsualBoot

// The root file systems of the tests. What one is worth is in its first byte.
const slotSize = 64 << 10

func root(worth byte) []byte { return bytes.Repeat([]byte{worth}, 24*sector) }

func slotWith(content []byte) []byte {
	return append(bytes.Clone(content), make([]byte, slotSize-len(content))...)
}

func newOwner(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// bundle is an update with its head read.
// runs is what the box of bundle runs.
var runs = update.Running{Box: "tses-1a2b", Version: "v1", Built: 1}

func bundle(t testing.TB, owner *ecdsa.PrivateKey, root, boot []byte) (h *update.Header, head []byte, body []byte) {
	t.Helper()
	var b bytes.Buffer
	o := update.Order{Box: "tses-1a2b", Version: "v2", Built: 2, Root: bytes.NewReader(root), Owner: owner}
	if boot != nil {
		o.Boot, o.BootName = bytes.NewReader(boot), "boot2"
	}
	if _, err := update.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	h, head, err := update.ReadHead(&b, &owner.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return h, head, b.Bytes()
}

func quiet(Step, int64) {}
