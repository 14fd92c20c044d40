package access

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

// Who is let in by which clock, at each place of an expiry.
func TestExpiryByClock(t *testing.T) {
	evidence := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	forged := evidence.Add(20 * 365 * 24 * time.Hour)
	g := newGate(t)
	for _, tt := range []struct {
		name    string
		clock   Clock
		planes  Plane
		ends    time.Time
		expired bool
	}{
		{"a user, proven", Clock{Now: forged, Proven: true, Evidence: evidence}, User, forged.Add(-1), true},
		{"a user, proven, at the end", Clock{Now: forged, Proven: true, Evidence: evidence}, User, forged, false},
		{"an administrator, proven", Clock{Now: forged, Proven: true, Evidence: evidence}, Administrative, forged.Add(-1), true},
		{"an administrator, proven, no evidence", Clock{Now: forged, Proven: true}, Administrative, forged.Add(-1), true},
		{"a user, not proven", Clock{Now: forged, Evidence: evidence}, User, forged.Add(-1), true},
		{"a user, not proven, not ended", Clock{Now: forged, Evidence: evidence}, User, forged.Add(1), false},
		{"an administrator, not proven", Clock{Now: forged, Evidence: evidence}, Administrative, forged.Add(-1), false},
		{"both, not proven", Clock{Now: forged, Evidence: evidence}, User | Administrative, forged.Add(-1), false},
		{"an administrator, not proven, at the evidence", Clock{Now: forged, Evidence: evidence}, Administrative, evidence, false},
		{"an administrator, not proven, before the evidence", Clock{Now: forged, Evidence: evidence}, Administrative, evidence.Add(-1), true},
		{"an administrator, not proven, a clock that is behind", Clock{Now: evidence.Add(-time.Hour), Evidence: evidence}, Administrative, evidence.Add(-time.Minute), false},
	} {
		g.Clock = func() Clock { return tt.clock }
		c := &Credential{Name: "alice", Serial: "01", Planes: tt.planes, NotAfter: tt.ends}
		if err := g.Check(c); errors.Is(err, ErrExpired) != tt.expired {
			t.Errorf("%s: %v, want expired: %v", tt.name, err, tt.expired)
		}
	}
}

// A revocation asks for no clock.
func TestRevokedInDoubt(t *testing.T) {
	a, err := CreateAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, text, err := a.Issue(Order{Name: "admin", Planes: Administrative, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := decodeCert(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Registry().Revoke("admin"); err != nil {
		t.Fatal(err)
	}
	g := gateOf(t, a)
	g.Clock = func() Clock { return Clock{} }
	if _, err := g.Admit([][]*x509.Certificate{{cert, a.Certificate()}}); !errors.Is(err, ErrRevoked) {
		t.Errorf("got %v, want %v", err, ErrRevoked)
	}
}

func newGate(t *testing.T) *Gate {
	t.Helper()
	a, err := CreateAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return gateOf(t, a)
}

func gateOf(t *testing.T, a *Authority) *Gate {
	t.Helper()
	trust, err := NewTrust(a.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGate(a.Registry(), trust, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
