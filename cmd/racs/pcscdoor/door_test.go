package pcscdoor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/stp/racs"
)

var selectAny = []byte{0x00, 0xA4, 0x04, 0x00, 0x00}

func scripted(name string) *driverstest.Scripted {
	return driverstest.NewScripted(driverstest.Options{Name: name})
}

// A TSES that does not say which SEs there are keeps nobody longer than was asked
// for.
func TestOpenTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mute, end := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, mute) }()
		dial := func(context.Context) (*racs.Client, error) { return racs.NewClient(end, racs.Options{}), nil }
		for _, want := range []time.Duration{time.Second, time.Minute} {
			began := time.Now()
			d, err := Open(t.Context(), Options{Dial: dial, OpenTimeout: want})
			if took := time.Since(began); d != nil || !errors.Is(err, context.DeadlineExceeded) || took != want {
				t.Errorf("%v after %v, want %v", err, took, want)
			}
			mute, end = net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, mute) }()
		}
		must(t, end.Close())
	})
}

func TestAnAPDUThere(t *testing.T) {
	se := scripted("one")
	n, d := start(t, map[string]drivers.SE{"one": se})
	c := program(t, d)
	states, err := c.Readers(within(t))
	must(t, err)
	if len(states) != 1 || states[0].Name != "one" || len(states[0].ATR) == 0 || se.On() {
		t.Fatalf("readers %+v, SE on: %v", states, se.On())
	}
	conn, err := c.Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	must(t, err)
	for _, ne := range []int{16, 300, 65536} { // short and extended
		got, err := conn.Transmit(within(t), []byte{0x80, 0x10, byte(ne >> 8), byte(ne), 0, byte(ne >> 8), byte(ne)})
		if err != nil || len(got) < 2 {
			t.Errorf("Ne %d: %d bytes, %v", ne, len(got), err)
		}
	}
	_, err = conn.Transmit(within(t), []byte{0x00, 0xA4})
	wantCode(t, err, pcsclite.EInvalidParameter)

	other, err := n.dial(within(t))
	must(t, err)
	defer other.Close()
	if _, err := other.PowerOn(within(t), "one"); err == nil {
		t.Error("another session takes an SE that a program has")
	}
	must(t, conn.Disconnect(within(t), pcsclite.Leave))
	if se.On() {
		t.Error("the SE is on when the program has gone")
	}
	_, err = other.PowerOn(within(t), "one")
	must(t, err)
	_, err = c.Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	wantCode(t, err, pcsclite.ESharingViolation)
	must(t, other.Close())
	for start := time.Now(); err != nil && time.Since(start) < 5*time.Second; time.Sleep(time.Millisecond) {
		_, err = c.Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	}
	must(t, err)
}

// A program that plays T=0 asks for the length of a record with Le FF, and wants
// to hear it: 6CXX is the card's answer, not the record.
func TestCardsOwnWords(t *testing.T) {
	se := scripted("one")
	_, d := start(t, map[string]drivers.SE{"one": se})
	conn, err := program(t, d).Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	must(t, err)
	before := se.Counts().Commands
	for command, want := range map[string]string{
		"\x80\x6C\x26\x00\xFF": "\x6C\x26",             // 38 bytes are there
		"\x80\x6C\x03\x00\x03": "\x00\x01\x02\x90\x00", //
		"\x80\x61\x00\x10":     "\x61\x10",             // and GET RESPONSE is the program's
	} {
		if got, err := conn.Transmit(within(t), []byte(command)); err != nil || string(got) != want {
			t.Errorf("%X: got %X, %v; want %X", command, got, err, want)
		}
	}
	if got := se.Counts().Commands - before; got != 3 {
		t.Errorf("the SE got %d commands, want 3", got)
	}
}

func TestResetsReachTheSE(t *testing.T) {
	se := scripted("one")
	_, d := start(t, map[string]drivers.SE{"one": se})
	conn, err := program(t, d).Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	must(t, err)
	before := se.Counts()
	must(t, conn.Reconnect(within(t), pcsclite.Shared, pcsclite.ProtocolAny, pcsclite.Reset))
	must(t, conn.Reconnect(within(t), pcsclite.Shared, pcsclite.ProtocolAny, pcsclite.Unpower))
	after := se.Counts()
	if after.WarmResets != before.WarmResets+1 || after.PowerOffs != before.PowerOffs+1 || after.PowerOns != before.PowerOns+1 {
		t.Errorf("counts went from %+v to %+v", before, after)
	}
}

func TestTSESGoesAndComes(t *testing.T) {
	for _, inUse := range []bool{false, true} {
		t.Run(fmt.Sprintf("in use %v", inUse), func(t *testing.T) {
			ses := map[string]drivers.SE{"one": scripted("one")}
			n, d := start(t, ses)
			c, watcher := program(t, d), program(t, d)
			var conn *pcsclite.Connection
			if inUse {
				var err error
				conn, err = c.Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
				must(t, err)
				must(t, conn.Begin(within(t)))
			}
			n.lead(nil)
			n.cut()
			until(t, watcher, "one", pcsclite.Absent)
			if inUse {
				_, err := conn.Transmit(within(t), selectAny)
				wantCode(t, err, pcsclite.WRemovedCard)
			}
			n.lead(tses(t, map[string]drivers.SE{"one": scripted("one")}))
			until(t, watcher, "one", pcsclite.Present)
			if inUse {
				must(t, conn.Reconnect(within(t), pcsclite.Shared, pcsclite.ProtocolAny, pcsclite.Leave))
				_, err := conn.Transmit(within(t), selectAny)
				must(t, err)
			}
		})
	}
}

// A program that does nothing learns that the session of its SE is lost, even
// where all else is well.
func TestSessionOfOneSEIsLost(t *testing.T) {
	n, d := start(t, map[string]drivers.SE{"one": scripted("one")})
	conn, err := program(t, d).Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	must(t, err)
	watcher := program(t, d)
	n.cutBehind(1) // the door's own is the first
	until(t, watcher, "one", pcsclite.Absent)
	until(t, watcher, "one", pcsclite.Present)
	wantCode(t, conn.Status(within(t)), pcsclite.WRemovedCard)
}

// An SE that fails is given back: its session ends.
func TestSEThatFailsIsGivenBack(t *testing.T) {
	se := scripted("one")
	n := newNetwork(t, tses(t, map[string]drivers.SE{"one": se}))
	d := openDoor(t, n, Options{}, inTheField) // which does not come back for it within the test
	conn, err := program(t, d).Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	must(t, err)
	se.SetFault(driverstest.Removed)
	_, err = conn.Transmit(within(t), selectAny)
	wantCode(t, err, pcsclite.WRemovedCard)
	se.SetFault(driverstest.Healthy)
	other, err := n.dial(within(t))
	must(t, err)
	defer other.Close()
	_, err = other.PowerOn(within(t), "one")
	for start := time.Now(); err != nil && time.Since(start) < time.Second; time.Sleep(time.Millisecond) {
		_, err = other.PowerOn(within(t), "one")
	}
	must(t, err)
}

// A restart that is over before anybody asks is not seen by programs that did
// nothing.
func TestCutIsMendedUnseen(t *testing.T) {
	for range 5 {
		n, d := start(t, map[string]drivers.SE{"one": scripted("one")})
		c := program(t, d)
		n.cut()
		conn, err := c.Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
		must(t, err)
		must(t, conn.Disconnect(within(t), pcsclite.Leave))
		states, err := c.Readers(within(t))
		must(t, err)
		if states[0].Events != 1 {
			t.Errorf("%d events, want that of the start alone", states[0].Events)
		}
	}
}

func TestSEsGoAndCome(t *testing.T) {
	n, d := start(t, map[string]drivers.SE{"one": scripted("one"), "two": scripted("two")})
	c := program(t, d)
	n.lead(tses(t, map[string]drivers.SE{"two": scripted("two"), "three": scripted("three")}))
	n.cut()
	until(t, c, "one", pcsclite.Absent)
	until(t, c, "three", pcsclite.Present)
	until(t, c, "two", pcsclite.Present)
}

// A command that is under way when the network goes silent is given up by the
// door's own questions, long before its time is over.
func TestSilentNetworkEndsACall(t *testing.T) {
	n, d := start(t, map[string]drivers.SE{"one": scripted("one")})
	conn, err := program(t, d).Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	must(t, err)
	release := n.hold()
	defer release()
	_, err = conn.Transmit(within(t), selectAny)
	wantCode(t, err, pcsclite.WRemovedCard)
}

// A command whose answer is lost fails in time and is not sent again.
func TestStalledNetwork(t *testing.T) {
	se := scripted("one")
	n, d := start(t, map[string]drivers.SE{"one": se})
	c := program(t, d)
	conn, err := c.Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	must(t, err)
	release := n.hold()
	defer release()
	time.AfterFunc(300*time.Millisecond, release) // shorter than the bound: nobody notices
	_, err = conn.Transmit(within(t), selectAny)
	must(t, err)

	before := se.Counts().Commands
	release = n.hold()
	defer release()
	until(t, program(t, d), "one", pcsclite.Absent)
	_, err = conn.Transmit(within(t), selectAny)
	wantCode(t, err, pcsclite.WRemovedCard)
	release()
	until(t, program(t, d), "one", pcsclite.Present)
	must(t, conn.Reconnect(within(t), pcsclite.Shared, pcsclite.ProtocolAny, pcsclite.Leave))
	_, err = conn.Transmit(within(t), selectAny)
	must(t, err)
	if got := se.Counts().Commands - before; got != 1 {
		t.Errorf("the SE got %d commands, want 1", got)
	}
}

func TestErrorsOfTheSE(t *testing.T) {
	se := scripted("one")
	_, d := start(t, map[string]drivers.SE{"one": se})
	c := program(t, d)
	conn, err := c.Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	must(t, err)
	se.SetFault(driverstest.Removed)
	_, err = conn.Transmit(within(t), selectAny)
	wantCode(t, err, pcsclite.WRemovedCard)
	_, err = c.Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	wantCode(t, err, pcsclite.ENoSmartcard)
	se.SetFault(driverstest.Healthy)
	until(t, c, "one", pcsclite.Present)
	must(t, conn.Reconnect(within(t), pcsclite.Shared, pcsclite.ProtocolAny, pcsclite.Leave))
}

// The user plane may not select the issuer security domain, which a SELECT
// without a name does.
func TestRefusedCommandIsAnswered(t *testing.T) {
	ts := tses(t, map[string]drivers.SE{"one": scripted("one")})
	n := newNetwork(t, ts)
	n.planes = access.User
	n.lead(ts)
	d := openDoor(t, n, Options{}, quick)
	conn, err := program(t, d).Connect(within(t), "one", pcsclite.Shared, pcsclite.ProtocolAny)
	must(t, err)
	got, err := conn.Transmit(within(t), selectAny)
	if err != nil || !bytes.Equal(got, []byte{0x69, 0x82}) {
		t.Errorf("got %X, %v; want 6982", got, err)
	}
}

func TestNamesAndChoice(t *testing.T) {
	n := newNetwork(t, tses(t, map[string]drivers.SE{"one": scripted("one"), "two": scripted("two"), "three": scripted("three")}))
	d := openDoor(t, n, Options{SEIDs: []string{"one", "two"}, Name: func(seid string) string { return "Yubico YubiKey " + seid }}, quick)
	states, err := program(t, d).Readers(within(t))
	must(t, err)
	if len(states) != 2 || states[0].Name != "Yubico YubiKey one" || states[1].Name != "Yubico YubiKey two" {
		t.Errorf("readers: %+v", states)
	}
	_, err = Open(within(t), Options{Dial: n.dial, SEIDs: []string{"four"}})
	if !errors.Is(err, ErrNoSE) || !strings.Contains(err.Error(), "one, three, two") {
		t.Errorf("got %v, want %v with the SEs that there are", err, ErrNoSE)
	}
	_, err = Open(within(t), Options{Dial: n.dial, Name: func(string) string { return "same" }})
	wantCode(t, err, pcsclite.EDuplicateReader)
	_, err = Open(within(t), Options{Dial: n.dial, SEIDs: make([]string, 17)})
	if !errors.Is(err, pcsclite.ErrFull) {
		t.Errorf("got %v, want %v", err, pcsclite.ErrFull)
	}
}

func TestMoreSEsThanReaders(t *testing.T) {
	ses := map[string]drivers.SE{}
	for i := range 18 {
		seid := fmt.Sprintf("se%02d", i)
		ses[seid] = scripted(seid)
	}
	n := newNetwork(t, tses(t, ses))
	var log syncBuffer
	d := openDoor(t, n, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, quick)
	c := program(t, d)
	states, err := c.Readers(within(t))
	must(t, err)
	if len(states) != pcsclite.MaxReaders {
		t.Errorf("%d readers, want %d", len(states), pcsclite.MaxReaders)
	}
	if text := log.String(); !strings.Contains(text, "se16, se17") || !strings.Contains(text, "racs pcsc SEID") {
		t.Errorf("the log does not say what is missing and what to do:\n%s", text)
	}
	// When SEs go, those that were left out take their readers.
	delete(ses, "se03")
	n.lead(tses(t, ses))
	n.cut()
	until(t, c, "se16", pcsclite.Present)
	if got := strings.Count(log.String(), "room for 16"); got != 2 {
		t.Errorf("told %d times, want once for each set of SEs:\n%s", got, log.String())
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Fifty programs share four readers; one in five dies inside its transaction.
func TestManyPrograms(t *testing.T) {
	ses := map[string]drivers.SE{}
	for i := range 4 {
		seid := fmt.Sprintf("se%d", i)
		ses[seid] = scripted(seid)
	}
	_, d := start(t, ses)
	ctx := within(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := busyProgram(ctx, d.Path(), fmt.Sprintf("se%d", i%4), i%5 == 0); err != nil {
				t.Errorf("program %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	c := program(t, d)
	for i := range 4 { // nothing is locked and nothing is lost
		conn, err := c.Connect(ctx, fmt.Sprintf("se%d", i), pcsclite.Exclusive, pcsclite.ProtocolAny)
		for start := time.Now(); errors.Is(err, pcsclite.ESharingViolation) && time.Since(start) < 5*time.Second; {
			conn, err = c.Connect(ctx, fmt.Sprintf("se%d", i), pcsclite.Exclusive, pcsclite.ProtocolAny)
		}
		must(t, err)
		_, err = conn.Transmit(ctx, selectAny)
		must(t, err)
	}
	for seid, se := range ses {
		if n := se.(*driverstest.Scripted).Counts().Overlaps; n != 0 {
			t.Errorf("%s: %d calls overlapped", seid, n)
		}
	}
}

// busyProgram does a few transactions as programs do: a reset by another one's
// death is answered by a reconnect.
func busyProgram(ctx context.Context, path, reader string, dies bool) error {
	c, err := pcsclite.Dial(ctx, path)
	if err != nil {
		return err
	}
	defer c.Close()
	conn, err := c.Connect(ctx, reader, pcsclite.Shared, pcsclite.ProtocolAny)
	if err != nil {
		return err
	}
	for range 5 {
		err := conn.Begin(ctx)
		for errors.Is(err, pcsclite.WResetCard) {
			if err = conn.Reconnect(ctx, pcsclite.Shared, pcsclite.ProtocolAny, pcsclite.Leave); err == nil || errors.Is(err, pcsclite.ESharingViolation) {
				err = conn.Begin(ctx)
			}
		}
		if err != nil {
			return err
		}
		for range 3 {
			if _, err := conn.Transmit(ctx, selectAny); err != nil {
				return err
			}
		}
		if dies {
			return nil // Close behind it is all that the server sees
		}
		if err := conn.End(ctx, pcsclite.Leave); err != nil {
			return err
		}
	}
	return conn.Disconnect(ctx, pcsclite.Leave)
}
