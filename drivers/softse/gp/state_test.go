package gp

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

func config(save func([]byte) error) Config {
	return Config{Rand: rand.Reader, Save: save}
}

// fresh is the state of a card with two supplementary security domains, one
// below the other.
func fresh(t testing.TB) []byte {
	t.Helper()
	var state []byte
	r, err := New(config(func(s []byte) error { state = bytes.Clone(s); return nil }))
	if err != nil {
		t.Fatal(err)
	}
	above := ISD
	for _, aid := range []apdu.AID{"\xF0\x00\x00\x00\x01", "\xF0\x00\x00\x00\x02"} {
		in, err := r.install(installation{pkg: DomainPackage, module: DomainModule, aid: aid, domain: above, state: AppReady})
		if err != nil {
			t.Fatal(err)
		}
		in.App.(*domain).sets = []keySet{testKeys()}
		above = aid
	}
	if err := r.Commit(); err != nil {
		t.Fatal(err)
	}
	return state
}

func TestLoadRefuses(t *testing.T) {
	good := fresh(t)
	if _, err := Load(config(nil), good); err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) []byte {
		out := bytes.Replace(good, []byte(old), []byte(new), 1)
		if bytes.Equal(out, good) {
			t.Fatalf("%x is not in the state", old)
		}
		return out
	}
	for _, tt := range []struct {
		name  string
		state []byte
	}{
		{"empty", nil},
		{"another version", replace("TSESoft\x01", "TSESoft\x02")},
		{"bytes left over", append(bytes.Clone(good), 0)},
		{"card state", slices.Replace(bytes.Clone(good), 12, 13, 0x02)},
		{"no instances", slices.Replace(bytes.Clone(good), 13, 14, 0)},
		{"fewer instances", slices.Replace(bytes.Clone(good), 13, 14, 2)},
		{"first is another", replace(string(ISD), "\xA0\x00\x00\x01\x51\x00\x00\x01")},
		{"an AID twice", replace("\x05\xF0\x00\x00\x00\x02", "\x05\xF0\x00\x00\x00\x01")},
		{"a domain that is not there", replace("\x05\xF0\x00\x00\x00\x01\x07", "\x05\xF0\x00\x00\x00\x09\x07")},
		{"associated with itself", replace("\x05\xF0\x00\x00\x00\x01\x07", "\x05\xF0\x00\x00\x00\x02\x07")},
		{"life cycle state", replace("\x05\xF0\x00\x00\x00\x01\x07", "\x05\xF0\x00\x00\x00\x01\x05")},
		{"module", replace("\x08"+string(DomainModule), "\x08\xA0\x00\x00\x01\x51\x53\x50\x42")},
		{"privileges", replace("\x07\x80\x00\x00", "\x07\x80\x00\x01")},
		{"no domain's privileges", replace("\x07\x80\x00\x00", "\x07\x00\x00\x00")},
		{"key version", replace("\x01\xFF\x00\x00\x00\x10", "\x01\xB0\x00\x00\x00\x10")},
	} {
		if r, err := Load(config(nil), tt.state); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v, %v; want %v", tt.name, r, err, ErrState)
		}
	}
}

// The factory's key set stands alone: what is put replaces it.
func TestFactorySetAlone(t *testing.T) {
	own := testKeys()
	own.version = 1
	for _, tt := range []struct {
		sets []keySet
		ok   bool
	}{{[]keySet{testKeys()}, true}, {[]keySet{testKeys(), own}, false}, {[]keySet{own, testKeys()}, false}, {[]keySet{own}, true}} {
		d := domainState{sets: tt.sets}
		if _, err := readDomain(d.marshal()); (err == nil) != tt.ok {
			t.Errorf("%d sets from %02X on: %v", len(tt.sets), tt.sets[0].version, err)
		}
	}
}

// A circle of domains is refused, and does not hang.
func TestLoadCircle(t *testing.T) {
	state := fresh(t)
	i := bytes.Index(state, []byte("\x05\xF0\x00\x00\x00\x01")) // AID of the first
	j := i + 6 + 9 + 8                                          // its domain
	if !bytes.Equal(state[j:j+9], append([]byte{8}, ISD...)) {
		t.Fatalf("%x is not the domain", state[j:j+9])
	}
	state = slices.Replace(state, j, j+9, []byte("\x05\xF0\x00\x00\x00\x02")...)
	if _, err := Load(config(nil), state); !errors.Is(err, ErrState) {
		t.Errorf("a circle of domains: %v", err)
	}
}

func TestLimits(t *testing.T) {
	r, err := New(config(func([]byte) error { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	for i := range MaxInstances {
		aid := apdu.AID(binary.BigEndian.AppendUint64(nil, uint64(i)))
		_, err = r.install(installation{pkg: DomainPackage, module: DomainModule, aid: aid, domain: ISD, state: AppReady})
	}
	if !errors.Is(err, apdu.SWNotEnoughMemory) || len(r.instances) != MaxInstances {
		t.Errorf("installation %d: %v", MaxInstances, err)
	}
}

// The sequence counter is reserved in steps, goes on behind what was reserved
// after another start, and gives way to random challenges at its end.
func TestSequenceCounter(t *testing.T) {
	saves := 0
	var state []byte
	cfg := config(func(s []byte) error { saves++; state = bytes.Clone(s); return nil })
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d := r.Issuer().App.(*domain)
	ask := func(want uint32, param byte) {
		t.Helper()
		s, _, err := d.Select()
		if err != nil {
			t.Fatal(err)
		}
		answer := s.Process(apdu.Command{CLA: 0x80, INS: 0x50, Data: make([]byte, 8)})
		if answer.SW != apdu.SWSuccess || answer.Data[12] != param || d.sets[0].counter != want {
			t.Errorf("INITIALIZE UPDATE: %v %x, counter %06X, want %06X and i %02X", answer.SW, answer.Data, d.sets[0].counter, want, param)
		}
		if n := len(answer.Data); n != 29+3 && param == 0x70 || n != 29 && param == 0x60 {
			t.Errorf("i %02X with %d bytes", param, n)
		}
	}
	for i := range uint32(2 * reserve) {
		ask(i+1, 0x70)
	}
	if saves != 2 {
		t.Errorf("%d saves for %d sessions", saves, 2*reserve)
	}
	ask(2*reserve+1, 0x70)
	if r, err = Load(cfg, state); err != nil {
		t.Fatal(err)
	}
	d = r.Issuer().App.(*domain)
	ask(3*reserve+1, 0x70)
	d.sets[0].counter, d.sets[0].reserved = maxCounter-2, maxCounter-2
	ask(maxCounter-1, 0x70)
	ask(maxCounter, 0x60)
	ask(maxCounter, 0x60)
}

// FuzzLoad: any bytes are an error or a card, which writes the same bytes.
func FuzzLoad(f *testing.F) {
	f.Add(fresh(f))
	f.Add(fresh(f)[:40])
	f.Add([]byte(stateMagic))
	f.Fuzz(func(t *testing.T, state []byte) {
		before := bytes.Clone(state)
		var again []byte
		r, err := Load(config(func(s []byte) error { again = bytes.Clone(s); return nil }), state)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatalf("error %v is not %v", err, ErrState)
			}
			return
		}
		if err := r.Commit(); err != nil || !bytes.Equal(again, before) || !bytes.Equal(state, before) {
			t.Fatalf("%v: loaded %x, saved %x", err, before, again)
		}
	})
}
