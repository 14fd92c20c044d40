package pcsclite

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"
)

// testATR is one of a T=0 and T=1 card with a historical byte.
var testATR = []byte{0x3B, 0x81, 0x80, 0x01, 0x41, 0x40}

// fakeCard answers SELECT and GET CHALLENGE and counts its calls.
type fakeCard struct {
	mu       sync.Mutex
	on       bool
	ons      int
	offs     int
	resets   int
	commands [][]byte
	busy     bool
	err      error           // what the next calls fail with
	block    <-chan struct{} // Transmit waits for it where it is set
}

func (f *fakeCard) enter() (func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		panic("two calls of a card at once")
	}
	f.busy = true
	return func() { f.mu.Lock(); f.busy = false; f.mu.Unlock() }, f.err
}

func (f *fakeCard) PowerOn(context.Context) ([]byte, error) {
	leave, err := f.enter()
	defer leave()
	if err != nil {
		return nil, err
	}
	f.on = true
	f.ons++
	return testATR, nil
}

func (f *fakeCard) Reset(context.Context) ([]byte, error) {
	leave, err := f.enter()
	defer leave()
	if err != nil {
		return nil, err
	}
	f.resets++
	return testATR, nil
}

func (f *fakeCard) PowerOff(context.Context) error {
	leave, _ := f.enter()
	defer leave()
	f.on = false
	f.offs++
	return nil
}

func (f *fakeCard) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	leave, err := f.enter()
	defer leave()
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.commands = append(f.commands, bytes.Clone(command))
	f.mu.Unlock()
	switch {
	case !f.on:
		return nil, WUnpoweredCard
	case len(command) < 4:
		return []byte{0x67, 0x00}, nil
	case command[1] == 0x84:
		return append(bytes.Repeat([]byte{0xA5}, int(command[len(command)-1])), 0x90, 0), nil
	case command[1] == 0xEE: // echo
		return append(bytes.Clone(command), 0x90, 0), nil
	case command[1] == 0xA4:
		return []byte{0x6F, 0x00, 0x90, 0x00}, nil
	}
	return []byte{0x6D, 0x00}, nil
}

func (f *fakeCard) count() (ons, offs, resets int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ons, f.offs, f.resets
}

// serve runs a server with one card in "fake one" until the test ends.
func serve(t testing.TB, cards map[string]Card) (*Server, map[string]*Reader) {
	t.Helper()
	s, err := Listen(Options{Dir: t.TempDir(), CallTimeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	readers := map[string]*Reader{}
	for name, card := range cards {
		r, err := s.Plug(name, card)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Insert(testATR); err != nil {
			t.Fatal(err)
		}
		readers[name] = r
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, readers
}
