package grid_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/grid"
)

func TestCheckSEID(t *testing.T) {
	tests := []struct {
		seid string
		ok   bool
	}{
		{"sim1", true},
		{"A", true},
		{"9._-z", true},
		{strings.Repeat("x", grid.MaxSEID), true},
		{"", false},
		{strings.Repeat("x", grid.MaxSEID+1), false},
		{"sim 1", false},
		{"sim\t1", false},
		{"sim/1", false},
		{`sim\1`, false},
		{"sim\x00", false},
		{"sim\xFF", false},
		{"süm", false},
		{"sim*", false},
		{"sim:1", false},
	}
	for _, tt := range tests {
		if err := grid.CheckSEID(tt.seid); (err == nil) != tt.ok {
			t.Errorf("CheckSEID(%q) = %v, want ok %v", tt.seid, err, tt.ok)
		}
	}
	if msg := grid.CheckSEID(strings.Repeat("x", 1<<20)).Error(); len(msg) > 200 {
		t.Errorf("the error has %d bytes for a SEID of 1 MiB", len(msg))
	}
}

func TestSEIDsInOrder(t *testing.T) {
	want := []string{"SIM1", "a", "a-1", "a.b", "a0", "a1", "a01", "a1a", "a01a", "a2", "a10", "a010", "a10.2", "a10.10", "ab",
		"sim2", "sim18446744073709551615", "sim18446744073709551616", "sim99999999999999999999999999", "simx"}
	for range 20 {
		g := grid.New()
		for _, i := range rand.Perm(len(want)) {
			if err := g.Add(want[i], driverstest.NewScripted(driverstest.Options{})); err != nil {
				t.Fatal(err)
			}
		}
		got := g.SEIDs()
		if !slices.Equal(got, natural(want)) {
			t.Fatalf("SEIDs:\n%v\nwant\n%v", got, natural(want))
		}
		got[0] = "spoiled"
		if g.SEIDs()[0] == "spoiled" {
			t.Fatal("SEIDs gives its own slice away")
		}
	}
}

// natural is a second opinion on the order: every run of digits is filled up
// to one length, then bytes are compared. Of equal numbers the one with fewer
// zeros comes first, which counts before what follows.
func natural(seids []string) []string {
	key := func(s string) string {
		var k strings.Builder
		for s != "" {
			n := 0
			for n < len(s) && s[n] >= '0' && s[n] <= '9' {
				n++
			}
			if n == 0 {
				k.WriteByte(s[0])
				s = s[1:]
				continue
			}
			number := strings.TrimLeft(s[:n], "0")
			k.WriteString("0" + strings.Repeat("0", 64-len(number)) + number + string(rune(n)))
			s = s[n:]
		}
		return k.String()
	}
	seids = slices.Clone(seids)
	slices.SortFunc(seids, func(a, b string) int { return strings.Compare(key(a), key(b)) })
	return seids
}

func TestSEIDsInOrderWhateverTheirNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seids := rapid.SliceOfNDistinct(rapid.StringMatching(`[ab.0-3]{1,6}`), 1, 12, rapid.ID).Draw(t, "seids")
		g := grid.New()
		for _, seid := range seids {
			if err := g.Add(seid, driverstest.NewScripted(driverstest.Options{})); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(natural(seids), g.SEIDs()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAlias(t *testing.T) {
	card := driverstest.NewScripted(driverstest.Options{Name: "a"})
	g := grid.New()
	steps := []struct {
		name string
		err  error
		want string // part of the error; empty: none
	}{
		{"add", g.Add("sim1", card), ""},
		{"add again", g.Add("sim1", card), "SEID \"sim1\" is taken by scripted(a)"},
		{"bad SEID", g.Add("sim 1", card), "is not a letter"},
		{"alias", g.Alias("token", "sim1"), ""},
		{"alias of an alias", g.Alias("other", "token"), ""},
		{"alias that is taken", g.Alias("sim1", "sim1"), "is taken by"},
		{"bad alias", g.Alias("", "sim1"), "0 bytes"},
		{"alias of nothing", g.Alias("x", "nothing"), `alias "x": no such SEID: "nothing"; add the SE first`},
	}
	for _, s := range steps {
		if s.want == "" && s.err != nil || s.want != "" && (s.err == nil || !strings.Contains(s.err.Error(), s.want)) {
			t.Errorf("%s: %v, want an error with %q", s.name, s.err, s.want)
		}
	}
	if err := g.Alias("x", "nothing"); !errors.Is(err, grid.ErrUnknown) {
		t.Errorf("alias of nothing: %v, want ErrUnknown", err)
	}
	for _, tt := range []struct {
		seid, want string
		ok         bool
	}{{"sim1", "sim1", true}, {"token", "sim1", true}, {"other", "sim1", true}, {"x", "", false}, {"", "", false}} {
		if got, ok := g.Canonical(tt.seid); got != tt.want || ok != tt.ok {
			t.Errorf("Canonical(%q) = %q, %v, want %q, %v", tt.seid, got, ok, tt.want, tt.ok)
		}
	}
	if got, want := g.SEIDs(), []string{"other", "sim1", "token"}; !slices.Equal(got, want) {
		t.Errorf("SEIDs = %v, want %v", got, want)
	}
}
