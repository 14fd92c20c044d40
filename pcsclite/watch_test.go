package pcsclite

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	s, readers := serve(t, map[string]Card{"one": &fakeCard{}})
	c := dial(t, s)
	known, err := c.Watch(within(t), nil)
	must(t, err)
	steps := []struct {
		name string
		do   func()
		want func(ReaderState) bool
	}{
		{"remove", readers["one"].Remove, func(r ReaderState) bool { return r.Status == Absent && r.Events == 2 && len(r.ATR) == 0 }},
		{"insert", func() { must(t, readers["one"].Insert(testATR)) }, func(r ReaderState) bool { return r.Status == Present && r.Events == 3 }},
		{"connect", func() { open(t, dial(t, s), "one", Direct) }, func(r ReaderState) bool { return r.Sharing == 1 }},
	}
	for _, step := range steps {
		changed := make(chan []ReaderState, 1)
		go func() {
			states, err := c.Watch(within(t), known)
			if err != nil {
				t.Error(err)
			}
			changed <- states
		}()
		step.do()
		known = <-changed
		if len(known) != 1 || !step.want(known[0]) {
			t.Fatalf("%s: %+v", step.name, known)
		}
	}
	before, err := c.ReaderEvents(within(t))
	must(t, err)
	readers["one"].Unplug()
	if known, err = c.Watch(within(t), known); err != nil || len(known) != 0 {
		t.Errorf("unplugged: %v, %v", known, err)
	}
	if after, err := c.ReaderEvents(within(t)); err != nil || after != before+1 {
		t.Errorf("reader events went from %d to %d, %v", before, after, err)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	s, readers := serve(t, map[string]Card{"one": &fakeCard{}})
	c := dial(t, s)
	known, err := c.Readers(within(t))
	must(t, err)
	for range 20 {
		ctx, cancel := context.WithTimeout(within(t), time.Millisecond)
		if _, err = c.Watch(ctx, known); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want the end of the context", err)
		}
		cancel()
	}
	readers["one"].Remove() // the connection is still in step
	if known, err = c.Watch(within(t), known); err != nil || known[0].Status != Absent {
		t.Errorf("%+v, %v", known, err)
	}
}

func TestCloseEndsAWait(t *testing.T) {
	s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
	c := dial(t, s)
	known, err := c.Readers(within(t))
	must(t, err)
	ended := make(chan error, 1)
	go func() { _, err := c.Watch(within(t), known); ended <- err }()
	must(t, c.Close())
	if err := <-ended; err == nil {
		t.Error("the wait did well")
	}
}

func TestCancel(t *testing.T) {
	s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
	c := dial(t, s)
	known, err := c.Readers(within(t))
	must(t, err)
	must(t, c.Cancel(within(t))) // nobody waits: nothing happens
	ended := make(chan error, 1)
	go func() { _, err := c.Watch(within(t), known); ended <- err }()
	for done := false; !done; {
		must(t, c.Cancel(within(t)))
		select {
		case err = <-ended:
			done = true
		default:
		}
	}
	wantCode(t, err, ECancelled)
	c.id++
	wantCode(t, c.Cancel(within(t)), EInvalidHandle)
}

func TestVersions(t *testing.T) {
	tests := []struct {
		major, minor, wantMinor uint32
		want                    Code
	}{
		{4, 4, 4, Success},
		{4, 5, 5, Success},
		{4, 6, 6, Success},
		{4, 7, 6, EServiceStopped}, // libpcsclite then asks for 4:6
		{4, 3, 6, EServiceStopped},
		{3, 4, 6, EServiceStopped},
		{5, 0, 6, EServiceStopped},
	}
	s, _ := serve(t, nil)
	c := dial(t, s)
	for _, tt := range tests {
		m := versionBody{Major: tt.major, Minor: tt.minor}
		err := c.call(within(t), cmdVersion, &m, nil, &m.RV)
		if codeOf(err) != tt.want || m.Major != 4 || m.Minor != tt.wantMinor {
			t.Errorf("%d:%d is answered %d:%d %v; want 4:%d %v", tt.major, tt.minor, m.Major, m.Minor, err, tt.wantMinor, tt.want)
		}
	}
	if major, minor := c.Version(); major != 4 || minor != 5 {
		t.Errorf("the client agreed on %d:%d, want 4:5", major, minor)
	}
}

// Since 4:6 a program registers, asks for the readers, and waits then. A change
// in between is told behind the readers and not before.
func TestWaitOfLaterVersions(t *testing.T) {
	s, readers := serve(t, map[string]Card{"one": &fakeCard{}})
	c := dial(t, s)
	m := versionBody{Major: 4, Minor: 6}
	must(t, c.call(within(t), cmdVersion, &m, nil, &m.RV))
	c.mu.Lock()
	defer c.mu.Unlock()
	ask := func(cmd command, n int) []byte {
		b := make([]byte, n)
		must(t, c.exchange(within(t), cmd, nil, nil, b))
		return b
	}
	ask(cmdWait, 0)
	readers["one"].Remove()
	if got := order.Uint32(ask(cmdArraySize, 4)); got != MaxReaders {
		t.Errorf("room for %d readers, want %d", got, MaxReaders)
	}
	states, err := c.parseStates(ask(cmdArray, MaxReaders*stateSize))
	if err != nil || states[0].Status != Absent {
		t.Fatalf("readers %+v, %v; want the card gone", states, err)
	}
	must(t, readers["one"].Insert(testATR))
	must(t, c.await(within(t)))
	ask(cmdWait, 0)
	must(t, c.stopWaiting(within(t))) // before the readers
	ask(cmdWait, 0)
	ask(cmdArray, MaxReaders*stateSize)
	must(t, c.stopWaiting(within(t)))
	ask(cmdArraySize, 4) // nothing more was told
}
