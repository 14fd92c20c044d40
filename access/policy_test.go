package access_test

import (
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/access/accesstest"
)

func TestBadRules(t *testing.T) {
	one := []string{"a"}
	for _, tt := range []struct {
		rule access.Rule
		want string
	}{
		{access.Rule{SEs: one}, "speaks of nobody"},
		{access.Rule{Name: "a", Serial: "1", SEs: one}, "either a name or a serial"},
		{access.Rule{Name: "a", Others: true, SEs: one}, "others are those"},
		{access.Rule{Serial: "1", Others: true, SEs: one}, "others are those"},
		{access.Rule{Name: "a"}, "says nothing"},
		{access.Rule{Name: "a", SEs: []string{}}, "lets nobody see"},
		{access.Rule{Name: "a", SEs: []string{"a["}}, `glob "a["`},
		{access.Rule{Name: "a", SEs: []string{""}}, `glob ""`},
		{access.Rule{Serial: "bob", SEs: one}, "hex digits"},
		{access.Rule{Serial: "::", SEs: one}, "hex digits"},
		{access.Rule{Serial: strings.Repeat("f", 41), SEs: one}, "hex digits"},
		{access.Rule{Issuer: "4f", SEs: one}, "64 hex digits"},
		{access.Rule{Issuer: strings.Repeat("x", 64), SEs: one}, "64 hex digits"},
		{access.Rule{Name: strings.Repeat("x", 65), SEs: one}, "no certificate can have that name"},
		{access.Rule{Name: "a\nb", SEs: one}, "no certificate can have that name"},
	} {
		_, err := access.NewPolicy([]access.Rule{{Name: "good", SEs: one}, tt.rule})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "rule 2") {
			t.Errorf("%+v: %v, want %q in rule 2", tt.rule, err, tt.want)
		}
	}
}

// The caller's changes to rules are not seen.
func TestRulesAreCopied(t *testing.T) {
	w := newWorld(t)
	rules := []access.Rule{{Name: "bob", SEs: []string{"sim1"}}}
	g := w.gate(t, nil, rules...)
	rules[0].Name, rules[0].SEs[0] = "carol", "x"
	c, err := admit(g, w.ca.Leaf("bob", accesstest.Planes("user")))
	if err != nil || !c.MaySee("sim1") || c.MaySee("x") {
		t.Errorf("sees %v, %v", sees(c), err)
	}
}

// A rule that gives its issuer's users what the issuer cannot give is told.
func TestRulesAgainstTables(t *testing.T) {
	w := newWorld(t)
	trust := trusting(t, w.own, table(0, nil, w.partner))
	id := access.KeyID(w.partner.Cert)
	for _, tt := range []struct {
		rule access.Rule
		ok   bool
	}{
		{access.Rule{Issuer: id, Planes: access.Administrative}, false},
		{access.Rule{Issuer: id, Name: "bob", Planes: access.Administrative}, false},
		{access.Rule{Issuer: id, Planes: both}, true},
		{access.Rule{Issuer: access.KeyID(w.own.Certificate()), Planes: access.Administrative}, true},
		{access.Rule{Issuer: strings.Repeat("4f", 32), Planes: access.Administrative}, true}, // may be one below
		{access.Rule{Name: "bob", Planes: access.Administrative}, true},                      // may be the own CA's
	} {
		p, err := access.NewPolicy([]access.Rule{tt.rule})
		if err != nil {
			t.Fatal(err)
		}
		if err := trust.Check(p); (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "access rule 1: it gives the plane administrator, and partner.pem can give user alone") {
			t.Errorf("%+v: %v, want good: %v", tt.rule, err, tt.ok)
		}
	}
}
