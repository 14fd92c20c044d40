package driverstest

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

func pat(n int) string { return strings.ToUpper(hex.EncodeToString(Pattern(n))) }

// exchange is one command and the answer that is wanted.
type exchange struct{ send, want string }

func TestScript(t *testing.T) {
	tests := []struct {
		name string
		card Card
		do   []exchange
	}{
		{"select unknown", TestCard, []exchange{{"00A4040006F0000000 00FF", "6A82"}}},
		{"select 61", TestCard, []exchange{{"00A4040006A0000000016100", "6110"}, {"00C0000010", pat(16) + "9000"}, {"00C0000010", "6985"}}},
		{"select 9F", TestCard, []exchange{{"00A4040006A0000000019F", "9F10"}, {"00C0000000", pat(16) + "9000"}}},
		{"select data", TestCard, []exchange{{"00A4040006A000000001DA00", pat(8) + "9000"}}},
		{"select other", TestCard, []exchange{{"00A404000601020304050600", "9000"}, {"00A40000023F00", "9000"}, {"00A40400", "9000"}}},
		{"read binary", TestCard, []exchange{{"00B0000002", "00019000"}, {"00B0000000", pat(256) + "9000"}, {"00B00000000000", pat(65536) + "9000"}, {"00B00000", "9000"}}},
		{"accepted", TestCard, []exchange{{"0020000102 3132", "9000"}, {"00D600000101", "9000"}, {"00D00000 0101", "9000"}}},
		{"any length", TestCard, []exchange{{"8010010000", pat(256) + "9000"}, {"80100000", "9000"}, {"8010FFFF000000", pat(65535) + "9000"}, {"80100000000000", pat(65536) + "9000"}}},
		{"chain", TestCard, []exchange{{"80610104", "6100"}, {"00C0000000", pat(256) + "6104"}, {"00C0000008", "6C04"}, {"00C0000004", "000102039000"}, {"00C0000004", "6985"}}},
		{"chain forgotten", TestCard, []exchange{{"80610010", "6110"}, {"80100000", "9000"}, {"00C0000010", "6985"}}},
		{"chain 9F", TestCard, []exchange{{"809F0010", "9F10"}, {"00C0000010", pat(16) + "9000"}}},
		{"data and chain", TestCard, []exchange{{"80620003", "DA7A6103"}, {"00C0000003", "0001029000"}}},
		{"wrong Le", TestCard, []exchange{{"806C0500", "6C05"}, {"806C050004", "6C05"}, {"806C050005", pat(5) + "9000"}, {"806C000000", pat(256) + "9000"}, {"806F0500", "6C05"}, {"806F050005", "6C05"}}},
		{"echo", TestCard, []exchange{{"80E0000002ABCD", "ABCD9000"}, {"80E00000", "9000"}, {"80E10000", "80E100009000"}, {"80E1000002ABCD", "80E1000002ABCD9000"}, {"80E0000000000400010203", "000102039000"}, {"81E00000 01AA", "AA9000"}}},
		{"echo longest", TestCard, []exchange{{"80E0000000FFFF" + pat(65535), pat(65535) + "9000"}, {"80E1000000FFFF" + pat(65535), "6700"}}},
		{"status word", TestCard, []exchange{{"805A6A82", "6A82"}, {"805A1234", "1234"}}},
		{"wait", TestCard, []exchange{{"80DD05DC", "9000"}}},
		{"one byte", TestCard, []exchange{{"80010000", "90"}}},
		{"unknown", TestCard, []exchange{{"0084000008", "6D00"}, {"80A40000", "6D00"}, {"00100010", "6D00"}, {"80C9", "6700"}}},
		{"T=0", T0Card, []exchange{{"80100005", "6105"}, {"00C0000005", pat(5) + "9000"}, {"8010000500", "6C05"}, {"8010000505", pat(5) + "9000"}, {"80E0000002ABCD00", "6102"}, {"00C0000002", "ABCD9000"}, {"00B00000000000", "6700"}, {"80010000", "90"}, {"8010010100", pat(256) + "6101"}, {"00C0000001", "009000"}}},
		{"challenge", ChallengeCard, []exchange{{"00A404000601020304050600", "9000"}, {"00B0000002", "6D00"}, {"8010000400", "6D00"}, {"00840000", "6700"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runScript(t, tt.card, tt.do) })
		})
	}
}

func runScript(t *testing.T, card Card, do []exchange) {
	se := NewScripted(Options{Card: card})
	if _, err := se.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, x := range do {
		got, err := se.Transmit(t.Context(), unhex(t, x.send))
		if err != nil || !strings.EqualFold(hex.EncodeToString(got), x.want) {
			t.Errorf("%.40s: got %.60X, %v, want %.60s", x.send, got, err, x.want)
		}
	}
	if got := se.Counts().Commands; got != int64(len(do)) {
		t.Errorf("%d commands counted, want %d", got, len(do))
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestChallengesDiffer(t *testing.T) {
	se := NewScripted(Options{Card: ChallengeCard})
	if _, err := se.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 4 {
		got, err := se.Transmit(t.Context(), unhex(t, "0084000008"))
		if err != nil || len(got) != 10 || seen[string(got)] {
			t.Fatalf("got %X, %v, want 8 new bytes and 9000", got, err)
		}
		seen[string(got)] = true
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		fault           Fault
		powerOn, during error
	}{
		{Mute, drivers.ErrMute, drivers.ErrMute},
		{Removed, drivers.ErrNoCard, drivers.ErrRemoved},
		{Hang, context.DeadlineExceeded, context.DeadlineExceeded},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			se := NewScripted(Options{})
			if _, err := se.PowerOn(t.Context()); err != nil {
				t.Fatal(err)
			}
			se.SetFault(tt.fault)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := se.Transmit(ctx, unhex(t, "00B0000002")); !errors.Is(err, tt.during) || !errors.Is(err, drivers.ErrOutcomeUnknown) {
				t.Errorf("fault %d: Transmit: %v", tt.fault, err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := se.PowerOn(ctx); !errors.Is(err, tt.powerOn) {
				t.Errorf("fault %d: PowerOn: %v", tt.fault, err)
			}
			se.SetFault(Healthy)
			if _, err := se.PowerOn(t.Context()); err != nil {
				t.Errorf("fault %d healed: %v", tt.fault, err)
			}
			if got := se.Counts(); got.Commands != 0 || got.PowerOns != 2 {
				t.Errorf("fault %d: counts %+v", tt.fault, got)
			}
		})
	}
}

func TestEndlessAnswers(t *testing.T) {
	se := NewScripted(Options{})
	if _, err := se.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		se.SetFault(Always61)
		if got, err := se.Transmit(t.Context(), unhex(t, "00C0000010")); err != nil || hex.EncodeToString(got) != "006110" {
			t.Errorf("got %X, %v", got, err)
		}
		se.SetFault(Always6C)
		if got, err := se.Transmit(t.Context(), unhex(t, "00B0000010")); err != nil || hex.EncodeToString(got) != "6c11" {
			t.Errorf("got %X, %v", got, err)
		}
	}
	se.SetFault(PowerOffFails)
	if err := se.PowerOff(t.Context()); err == nil || se.On() {
		t.Errorf("PowerOff: %v, on %v; want an error and off", err, se.On())
	}
}

func TestAnswerHook(t *testing.T) {
	boom := errors.New("boom")
	se := NewScripted(Options{Answer: func(_ context.Context, c []byte) ([]byte, error, bool) {
		return nil, boom, c[1] == 0xEE
	}})
	if _, err := se.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := se.Transmit(t.Context(), unhex(t, "00EE0000")); !errors.Is(err, boom) {
		t.Errorf("hook: %v", err)
	}
	if got, err := se.Transmit(t.Context(), unhex(t, "00B0000001")); err != nil || len(got) != 3 {
		t.Errorf("script behind the hook: %X, %v", got, err)
	}
}

func TestOverlapsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		se := NewScripted(Options{})
		if _, err := se.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		slow := unhex(t, "80DD0064")
		done := make(chan error)
		go func() {
			_, err := se.Transmit(t.Context(), slow)
			done <- err
		}()
		synctest.Wait()
		if _, err := se.Transmit(t.Context(), unhex(t, "00B0000001")); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := se.Counts().Overlaps; got != 1 {
			t.Errorf("%d overlaps, want 1", got)
		}
	})
}
