package vmlock

import (
	"sync/atomic"
	"testing"
)

// One at a time, and each gets its turn.
func TestTake(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var inside, turns atomic.Int32
	t.Run("all", func(t *testing.T) {
		for range 8 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for range 20 {
					free := Take(t)
					if n := inside.Add(1); n != 1 {
						t.Errorf("%d are inside", n)
					}
					turns.Add(1)
					inside.Add(-1)
					free()
				}
			})
		}
	})
	if n := turns.Load(); n != 8*20 {
		t.Errorf("%d turns, want %d", n, 8*20)
	}
	Take(t) // is given free with the test
}
