package main

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access/accesstest"
)

// TestFurtherCA: what a configuration says of a partner's CA is what its users
// have, and the command line revokes a CA below it in one step.
func TestFurtherCA(t *testing.T) {
	root := accesstest.New(t, "partner")
	department := root.CA("department", accesstest.Serial(0x12))
	s := serveTSES(t, "-config", writeConfig(t, twoCards+fmt.Sprintf(`
[[access.trust]]
file = %q
se = ["card*"]
[[access.rule]]
issuer = %[1]q
name = "client"
planes = ["user"]
se = ["card2"]
`, root.File())))
	open := func(leaf *accesstest.Leaf) *client {
		t.Helper()
		cert := leaf.TLS()
		c, err := s.open(t, &cert)
		if err != nil {
			t.Fatalf("%v\n%s", err, s.log)
		}
		return c
	}
	client := open(root.Leaf("client")) // names neither plane nor SE
	client.want(t, "+004 001 card2 ", "LIST")
	client.want(t, "-408 001 ", "POWERON card1")
	admin := open(department.Leaf("admin", accesstest.Planes("user", "administrator"), accesstest.URIs("urn:tses:se:card1")))
	admin.want(t, "+004 001 card1 ", "LIST")
	admin.want(t, "+008 001 ", "POWERON card1")
	admin.want(t, "-606 001 ", "APDU card1 80E60C0000") // INSTALL
	own := s.mustOpen(t, "admin")
	own.want(t, "+008 001 ", "POWERON card2")
	own.want(t, "+006 001 ", "APDU card2 80E60C0000")
	for _, tt := range []struct {
		leaf *accesstest.Leaf
		log  string
	}{
		{root.Leaf("stranger"), `not let in.*credential \\"stranger\\" of ca.pem.*it has no plane`},
		{root.Leaf("misspelt", accesstest.Planes("user"), accesstest.URIs("urn:tsesx:se:card1")), `not let in.*want urn:tses:se:GLOB`},
	} {
		cert := tt.leaf.TLS()
		if _, err := s.open(t, &cert); err == nil {
			t.Errorf("%s is let in", tt.leaf.Cert.Subject.CommonName)
		}
		if _, err := s.log.await(regexp.MustCompile(tt.log), bound); err != nil {
			t.Error(err)
		}
	}

	status, stdout, stderr := runOnce(t, "-state", s.state, "credential", "revoke", "12", "-issuer", root.File())
	revoked := time.Now()
	if status != exitOK {
		t.Fatalf("revoke: %d, %s%s", status, stdout, stderr)
	}
	if got, err := admin.answer(); err == nil {
		t.Errorf("who came by the department: %q, want the end of the session", got)
	}
	if took := time.Since(revoked); took > time.Second {
		t.Errorf("the session ended %v after the revocation", took)
	}
	client.want(t, "+004 001 card2 ", "LIST")
	own.want(t, "+006 001 ", "APDU card2 80E60C0000")
}
