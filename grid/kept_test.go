package grid_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/grid"
)

// keeper is an SE that power does not clear.
type keeper struct {
	drivers.SE
	why error
}

func (k keeper) Keeps() error { return k.why }

var errNoPin = errors.New("it has no reset pin")

// keeping has "chip" with the alias "token", which keeps PIN states.
func keeping(t *testing.T, why error) *grid.Grid {
	t.Helper()
	g := grid.New()
	se := keeper{driverstest.NewScripted(driverstest.Options{Name: "chip"}), why}
	if err := errors.Join(g.Add("chip", se), g.Alias("token", "chip")); err != nil {
		t.Fatal(err)
	}
	return g
}

// use is one session's use of an SE, from its power on to its end.
func use(t *testing.T, s *grid.Session, seid string, sends bool) error {
	t.Helper()
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, _, err := s.PowerOn(t.Context(), seid); err != nil {
		return err
	}
	if !sends {
		return nil
	}
	_, err := s.Transmit(t.Context(), seid, command)
	return err
}

// TestKept: an SE that power does not clear stays with the credential that has
// sent it a command, by whatever name, and is told of to others.
func TestKept(t *testing.T) {
	g := keeping(t, errNoPin)
	for _, s := range []*grid.Session{g.NewSession("health"), g.NewSession("bob")} {
		if err := use(t, s, "chip", false); err != nil {
			t.Fatalf("before any command: %v", err)
		}
	}
	for range 2 {
		if err := use(t, g.NewSessionAs("alice", "ca/alice"), "token", true); err != nil {
			t.Fatalf("its user: %v", err)
		}
	}
	for name, s := range map[string]*grid.Session{
		"another":              g.NewSessionAs("bob", "ca/bob"),
		"a namesake's session": g.NewSessionAs("alice", "other-ca/alice"),
	} {
		err := use(t, s, "chip", true)
		var inUse *grid.InUseError
		if !errors.As(err, &inUse) || inUse.Holder != "alice" || !errors.Is(inUse.Why, errNoPin) {
			t.Errorf("%s: %v, want that it stays with alice", name, err)
		} else if !strings.Contains(err.Error(), "stays with alice") || !strings.Contains(err.Error(), errNoPin.Error()) {
			t.Errorf("%s is told %q", name, err)
		}
	}
	if err := use(t, g.NewSessionAs("alice", "ca/alice"), "chip", true); err != nil {
		t.Errorf("its user, after the others: %v", err)
	}
}

// TestNotKept: one that power clears, and one that is shared by name, go from
// user to user.
func TestNotKept(t *testing.T) {
	shared := keeping(t, errNoPin)
	if err := shared.Share("token"); err != nil {
		t.Fatal(err)
	}
	if err := shared.Share("nothing"); !errors.Is(err, grid.ErrUnknown) {
		t.Errorf("Share of nothing: %v", err)
	}
	for name, g := range map[string]*grid.Grid{"cleared": keeping(t, nil), "shared": shared} {
		for _, user := range []string{"alice", "bob", "alice"} {
			if err := use(t, g.NewSession(user), "chip", true); err != nil {
				t.Errorf("%s: %s: %v", name, user, err)
			}
		}
	}
}
