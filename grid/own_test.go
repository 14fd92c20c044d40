package grid

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers/driverstest"
)

// Who is kept out by another session of the same credential is told so.
func TestInUseByOneself(t *testing.T) {
	g := New()
	if err := g.Add("one", driverstest.NewScripted(driverstest.Options{Name: "one"})); err != nil {
		t.Fatal(err)
	}
	owner := g.NewSessionAs("alice", "ca/alice")
	defer owner.Close()
	if _, _, err := owner.PowerOn(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	for identity, own := range map[string]bool{"ca/alice": true, "other/alice": false} {
		s := g.NewSessionAs("alice", identity)
		_, _, err := s.PowerOn(t.Context(), "one")
		inUse := (*InUseError)(nil)
		if !errors.As(err, &inUse) || inUse.Own != own || strings.Contains(err.Error(), "of yours") != own {
			t.Errorf("%s: %v", identity, err)
		}
	}
}
