package pcsclite

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
)

func TestProgramThatGoesLeavesNothing(t *testing.T) {
	card := &fakeCard{}
	s, _ := serve(t, map[string]Card{"one": card})
	a, b := dial(t, s), dial(t, s)
	dying, staying := open(t, a, "one", Shared), open(t, b, "one", Shared)
	must(t, dying.Begin(within(t)))
	must(t, a.Close()) // as a program that is killed inside a transaction
	err := staying.Begin(within(t))
	if err != nil && !errors.Is(err, WResetCard) {
		t.Fatal(err)
	}
	eventually(t, "the card is reset", func() bool { _, _, resets := card.count(); return resets == 1 })
	wantCode(t, staying.Status(within(t)), WResetCard)
	must(t, staying.Reconnect(within(t), Shared, ProtocolAny, Leave))
	must(t, staying.Begin(within(t)))
	must(t, b.Close())
	eventually(t, "the card is off", func() bool { _, offs, _ := card.count(); return offs == 1 })
}

func TestTransactionKeepsOthersOut(t *testing.T) {
	s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
	a, b := open(t, dial(t, s), "one", Shared), open(t, dial(t, s), "one", Shared)
	must(t, a.Begin(within(t)))
	must(t, a.Begin(within(t))) // they nest
	_, err := b.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
	wantCode(t, err, ESharingViolation)
	begun := make(chan error, 1)
	go func() { begun <- b.Begin(within(t)) }()
	must(t, a.End(within(t), Leave))
	_, err = a.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
	must(t, err)
	select {
	case err := <-begun:
		t.Fatalf("the other transaction began inside the first: %v", err)
	default:
	}
	must(t, a.End(within(t), Leave))
	must(t, <-begun)
	wantCode(t, a.End(within(t), Leave), ENotTransacted)
	must(t, b.End(within(t), Leave))
}

func TestShareModes(t *testing.T) {
	tests := []struct {
		first, second Share
		want          Code
	}{
		{Shared, Shared, Success},
		{Shared, Exclusive, ESharingViolation},
		{Exclusive, Shared, ESharingViolation},
		{Exclusive, Exclusive, ESharingViolation},
		{Exclusive, Direct, ESharingViolation},
		{Direct, Shared, Success},
		{Direct, Direct, Success},
		{Shared, 0, EInvalidValue},
		{Shared, 4, EInvalidValue},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d then %d", tt.first, tt.second), func(t *testing.T) {
			s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
			first := open(t, dial(t, s), "one", tt.first)
			if tt.first == Exclusive { // its transaction is not waited for
				must(t, first.Begin(within(t)))
			}
			c := dial(t, s)
			_, err := c.Connect(within(t), "one", tt.second, ProtocolAny)
			if codeOf(err) != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want == ESharingViolation { // the failure leaves nothing behind
				must(t, first.Disconnect(within(t), Leave))
				open(t, c, "one", tt.second)
			}
		})
	}
}

func TestReconnectChangesShareMode(t *testing.T) {
	s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
	a, b := open(t, dial(t, s), "one", Shared), open(t, dial(t, s), "one", Shared)
	wantCode(t, a.Reconnect(within(t), Exclusive, ProtocolAny, Leave), ESharingViolation)
	must(t, b.Disconnect(within(t), Leave))
	must(t, a.Reconnect(within(t), Exclusive, ProtocolAny, Leave))
	states, err := dial(t, s).Readers(within(t))
	must(t, err)
	if states[0].Sharing != -1 {
		t.Errorf("sharing is %d, want -1", states[0].Sharing)
	}
	must(t, a.Reconnect(within(t), Shared, ProtocolAny, Leave))
	open(t, dial(t, s), "one", Shared)
}

func TestDispositions(t *testing.T) {
	tests := []struct {
		name                string
		d                   Disposition
		ons, offs, resets   int
		others              Code
		reconnect, endOfTxn bool
	}{
		{name: "disconnect leave", d: Leave, ons: 1},
		{name: "disconnect reset", d: Reset, ons: 1, resets: 1, others: WResetCard},
		{name: "disconnect unpower", d: Unpower, ons: 1, offs: 1, others: WResetCard},
		{name: "disconnect eject", d: Eject, ons: 1, offs: 1, others: WResetCard},
		{name: "reconnect leave", reconnect: true, d: Leave, ons: 1},
		{name: "reconnect reset", reconnect: true, d: Reset, ons: 1, resets: 1, others: WResetCard},
		{name: "reconnect unpower", reconnect: true, d: Unpower, ons: 2, offs: 1, others: WResetCard},
		{name: "end leave", endOfTxn: true, d: Leave, ons: 1},
		{name: "end reset", endOfTxn: true, d: Reset, ons: 1, resets: 1, others: WResetCard},
		{name: "end unpower", endOfTxn: true, d: Unpower, ons: 1, offs: 1, others: WResetCard},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			card := &fakeCard{}
			s, _ := serve(t, map[string]Card{"one": card})
			a, b := open(t, dial(t, s), "one", Shared), open(t, dial(t, s), "one", Shared)
			switch {
			case tt.reconnect:
				must(t, a.Reconnect(within(t), Shared, ProtocolAny, tt.d))
				must(t, a.Status(within(t)))
			case tt.endOfTxn:
				must(t, a.Begin(within(t)))
				must(t, a.End(within(t), tt.d))
				must(t, a.Status(within(t)))
			default:
				must(t, a.Disconnect(within(t), tt.d))
			}
			if ons, offs, resets := card.count(); ons != tt.ons || offs != tt.offs || resets != tt.resets {
				t.Errorf("on %d, off %d, reset %d; want %d, %d, %d", ons, offs, resets, tt.ons, tt.offs, tt.resets)
			}
			if got := codeOf(b.Status(within(t))); got != tt.others {
				t.Errorf("the other program is told %v, want %v", got, tt.others)
			}
			must(t, b.Reconnect(within(t), Shared, ProtocolAny, Leave))
			_, err := b.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
			must(t, err)
		})
	}
}

func TestHandlesOfOthersAreNotUsable(t *testing.T) {
	s, _ := serve(t, map[string]Card{"one": &fakeCard{}})
	a, b := dial(t, s), dial(t, s)
	if a.id == b.id {
		t.Fatalf("two contexts have the number %d", a.id)
	}
	mine := open(t, a, "one", Shared)
	stolen := &Connection{client: b, card: mine.card}
	wantCode(t, stolen.Status(within(t)), EInvalidHandle)
	wantCode(t, stolen.Disconnect(within(t), Reset), EInvalidHandle)
	_, err := stolen.Transmit(within(t), []byte{0, 0xA4, 4, 0, 0})
	wantCode(t, err, EInvalidHandle)
	b.id = a.id
	_, err = b.Connect(within(t), "one", Shared, ProtocolAny)
	wantCode(t, err, EInvalidHandle)
}

func TestReleaseEndsConnections(t *testing.T) {
	card := &fakeCard{}
	s, _ := serve(t, map[string]Card{"one": card})
	c := dial(t, s)
	conn := open(t, c, "one", Shared)
	must(t, c.Release(within(t)))
	if _, offs, _ := card.count(); offs != 1 {
		t.Errorf("the card was powered off %d times, want 1", offs)
	}
	wantCode(t, conn.Status(within(t)), EInvalidHandle)
	_, err := c.Connect(within(t), "one", Shared, ProtocolAny)
	wantCode(t, err, EInvalidHandle)
}

func TestProgramThatGoesInTheMiddleOfACommand(t *testing.T) {
	block := make(chan struct{})
	card := &fakeCard{block: block}
	s, _ := serve(t, map[string]Card{"one": card})
	c := dial(t, s)
	conn := open(t, c, "one", Shared)
	ctx, cancel := context.WithCancel(within(t))
	done := make(chan error, 1)
	go func() { _, err := conn.Transmit(ctx, []byte{0, 0xA4, 4, 0, 0}); done <- err }()
	eventually(t, "the card works", func() bool { card.mu.Lock(); defer card.mu.Unlock(); return card.busy })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	must(t, c.Close())
	close(block)
	eventually(t, "the card is off", func() bool { _, offs, _ := card.count(); return offs == 1 })
	if len(card.commands) != 1 {
		t.Errorf("the card executed %d commands, want 1", len(card.commands))
	}
	if err := conn.Status(within(t)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after it was closed: %v, want %v", err, net.ErrClosed)
	}
}
