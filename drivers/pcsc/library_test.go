//go:build scard || windows || (darwin && cgo)

package pcsc

import (
	"context"
	"errors"
	"testing"

	"github.com/ebfe/scard"

	"github.com/cloud-of-se/tses/pcsclite"
)

func TestReadersOf(t *testing.T) {
	for _, tt := range []struct {
		flags scard.StateFlag
		atr   []byte
		want  []reader
	}{
		{scard.StateEmpty, nil, []reader{{"ACS", false, nil, 3}}},
		{scard.StatePresent | scard.StateUnpowered, nil, []reader{{"ACS", true, nil, 3}}},
		{scard.StatePresent, simATR, []reader{{"ACS", true, simATR, 3}}},
		{scard.StateUnavailable, nil, nil},
		{scard.StateUnknown, nil, nil},
	} {
		got := readersOf([]scard.ReaderState{{Reader: "ACS", EventState: tt.flags | scard.StateChanged | 3<<16, Atr: tt.atr}})
		if len(got) != len(tt.want) || len(got) == 1 && (got[0].name != "ACS" || got[0].card != tt.want[0].card || got[0].events != 3 || string(got[0].atr) != string(tt.want[0].atr)) {
			t.Errorf("%#x: %+v, want %+v", tt.flags, got, tt.want)
		}
	}
}

// A call that is left to itself keeps the next one from the library until it has
// returned.
func TestCallIsLeft(t *testing.T) {
	l := new(library)
	ctx, cancel := context.WithCancel(t.Context())
	goOn := make(chan struct{})
	began := make(chan struct{})
	result := make(chan error, 1)
	go func() {
		result <- l.do(ctx, func() error {
			close(began)
			<-goOn
			return scard.ErrRemovedCard
		})
	}()
	<-began
	cancel()
	if err := <-result; !errors.Is(err, pcsclite.ErrUnsettled) || !errors.Is(err, context.Canceled) || !l.owes() {
		t.Errorf("%v, owes %v; want %v and %v", err, l.owes(), pcsclite.ErrUnsettled, context.Canceled)
	}
	close(goOn)
	if l.settle(); l.owes() {
		t.Error("it owes an answer after settle")
	}
	if err := l.do(t.Context(), func() error { return scard.ErrRemovedCard }); !errors.Is(err, pcsclite.WRemovedCard) {
		t.Errorf("%v, want %v", err, pcsclite.WRemovedCard)
	}
}
