package pivwalk

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers/softse"
)

func newBrain(t *testing.T, t0 bool) *softse.Card {
	t.Helper()
	brain, err := NewBrain(t0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := brain.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := brain.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return brain
}

// TestWalk goes without a wire.
func TestWalk(t *testing.T) {
	for _, t0 := range []bool{false, true} {
		if err := Walk(t.Context(), newBrain(t, t0).Transmit); err != nil {
			t.Errorf("T=0 %v: %v", t0, err)
		}
	}
}

// TestWalkNotices what a way does to commands and answers.
func TestWalkNotices(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(command, answer []byte) []byte
		want   string
	}{
		{"another answer to SELECT", func(command, answer []byte) []byte {
			if command[1] == 0xA4 {
				return []byte{0x90, 0}
			}
			return answer
		}, "SELECT: "},
		{"another key", func(command, answer []byte) []byte {
			if IsGenerate(command) {
				answer[len(answer)-3] ^= 1
			}
			return answer
		}, "generate: public key"},
		{"another signature", func(command, answer []byte) []byte {
			if bytes.HasPrefix(command, []byte{0, insAuthenticate, algP256}) && len(answer) > 2 {
				answer[len(answer)-3] ^= 1
			}
			return answer
		}, "is not this key's signature"},
		{"more without end", func([]byte, []byte) []byte { return []byte{0x61, 1} }, "always has more"},
	} {
		brain := newBrain(t, false)
		err := Walk(t.Context(), func(ctx context.Context, command []byte) ([]byte, error) {
			answer, err := brain.Transmit(ctx, command)
			return tt.damage(command, answer), err
		})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}
