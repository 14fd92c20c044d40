package stp_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/access/accesstest"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// partner is a further CA and what the TSES says of it.
func partner(ca *accesstest.CA, planes access.Plane, ses ...string) []access.Further {
	return []access.Further{{Name: "partner.pem", Certificates: []*x509.Certificate{ca.Cert}, Planes: planes, SEs: ses}}
}

// notIn fails where a client gets in.
func notIn(t *testing.T, ts *stptest.TSES, cert tls.Certificate, version uint16) {
	t.Helper()
	conf := ts.TLS(cert)
	conf.MaxVersion = version
	c, err := tls.Dial("tcp", ts.Addr, conf)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 3)); err == nil || n > 0 {
		t.Error("a client is let in that should not be")
	}
}

// testRevokedCAEndsSessions: what ends with an intermediate CA is what came by
// it, and that at once.
func testRevokedCAEndsSessions(t *testing.T) {
	for _, doubtful := range []bool{false, true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s, clock in doubt %v", tls.VersionName(version), doubtful), func(t *testing.T) {
				ca := accesstest.New(t, "partner")
				department := ca.CA("department")
				ts, card, log := start(t, stptest.Options{
					Further: partner(ca, access.User), MinVersion: tls.VersionTLS12, Clock: func() access.Clock { return access.Clock{Now: time.Now(), Proven: !doubtful} },
				})
				user := accesstest.Planes("user")
				conf := ts.TLS(department.Leaf("alice", user).TLS())
				conf.MaxVersion = version
				alice := holdWith(t, ts, conf)
				log.waitFor(t, "ca=partner.pem")
				id := access.ID{Issuer: access.KeyID(ca.Cert), Serial: access.SerialString(department.Cert)}
				if _, err := ts.Authority.Registry().RevokeID(id); err != nil {
					t.Fatal(err)
				}
				if took := ended(t, alice, card); took > time.Second {
					t.Errorf("the session lived on for %v, want at most a second", took)
				}
				log.waitFor(t, "with that of a CA above it, serial "+id.Serial)
				notIn(t, ts, department.Leaf("alice", user).TLS(), version)
				ended(t, closing(t, hold(t, ts, ca.Leaf("bob", user).TLS())), card)
			})
		}
	}
}

// closing ends a session from the client's side.
func closing(t *testing.T, c *tls.Conn) *tls.Conn {
	t.Helper()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return c
}

// testExpiredCAEndsSessions: a credential is good no longer than any CA above it.
func testExpiredCAEndsSessions(t *testing.T) {
	ca := accesstest.New(t, "partner")
	end := time.Now().Add(3 * time.Second).Truncate(time.Second)
	department := ca.CA("department", accesstest.Until(end))
	ts, card, log := start(t, stptest.Options{Further: partner(ca, access.User)})
	alice := hold(t, ts, department.Leaf("alice", accesstest.Planes("user")).TLS())
	ended(t, alice, card)
	if over := time.Since(end); over < 0 || over > 3*time.Second {
		t.Errorf("the session ended %v after the CA", over)
	}
	log.waitFor(t, "has expired")
}

// TestVanishedRevocation: the alarm is in the log of a running server, and who
// was revoked does not get in.
func TestVanishedRevocation(t *testing.T) {
	ts, _, log := start(t, stptest.Options{})
	cred := ts.Credential("alice", access.User)
	registry := filepath.Join(ts.Dir, "credentials.json")
	before, err := os.ReadFile(registry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ts.Authority.Registry().Revoke("alice"); err != nil {
		t.Fatal(err)
	}
	notIn(t, ts, cred, 0)
	if err := os.WriteFile(registry, before, 0o600); err != nil {
		t.Fatal(err)
	}
	log.waitFor(t, "level=ERROR msg=\"ALARM: revocations have vanished")
	notIn(t, ts, cred, 0)
}

// TestCrossSignedCA: a client may show that its CA was signed by another, too.
// That makes it no less than it is, and what is of the other no more.
func TestCrossSignedCA(t *testing.T) {
	ca := accesstest.New(t, "partner")
	ts, card, log := start(t, stptest.Options{Further: partner(ca, access.User)})
	cred := ts.Credential("admin", access.User|access.Administrative)
	cross := ca.Cross(accesstest.Of(t, ts.Authority.Certificate(), ts.Authority.Signer())).Cert
	cred.Certificate = append(cred.Certificate, cross.Raw)
	c := hold(t, ts, cred)
	log.waitFor(t, "planes=user,administrator")
	if strings.Contains(log.String(), "ca=partner.pem") {
		t.Error("the TSES's own administrator is taken for the partner's")
	}
	ended(t, closing(t, c), card)
	ended(t, closing(t, hold(t, ts, ca.Leaf("admin", accesstest.Planes("user", "administrator")).TLS())), card)
	log.waitFor(t, "ca=partner.pem")
	if n := strings.Count(log.String(), "planes=user,administrator"); n != 1 {
		t.Errorf("%d sessions of administrators, want one:\n%s", n, log)
	}
}

// TestOneGoodChainIsEnough: a department that two CAs have signed stays good by
// one of them, and has what that one gives, in whatever order its users show it.
func TestOneGoodChainIsEnough(t *testing.T) {
	one, two := accesstest.New(t, "one"), accesstest.New(t, "two")
	department := one.CA("department")
	again := two.Cross(department)
	ts, card, log := start(t, stptest.Options{Further: []access.Further{
		{Name: "one.pem", Certificates: []*x509.Certificate{one.Cert}, Planes: access.User | access.Administrative},
		{Name: "two.pem", Certificates: []*x509.Certificate{two.Cert}},
	}})
	leaf := department.Leaf("alice", accesstest.Planes("user", "administrator"))
	come := func(above ...*x509.Certificate) {
		t.Helper()
		leaf.Above = above
		ended(t, closing(t, hold(t, ts, leaf.TLS())), card)
	}
	come(department.Cert, again.Cert)
	come(again.Cert, department.Cert)
	if n := strings.Count(log.String(), "ca=two.pem"); n != 0 {
		t.Errorf("the CA that was named second counts, while the first is good:\n%s", log)
	}
	if _, err := ts.Authority.Registry().RevokeID(access.ID{Issuer: access.KeyID(one.Cert), Serial: access.SerialString(department.Cert)}); err != nil {
		t.Fatal(err)
	}
	for _, above := range [][]*x509.Certificate{{department.Cert, again.Cert}, {again.Cert, department.Cert}} {
		come(above...)
	}
	log.waitFor(t, "ca=two.pem")
	if n := strings.Count(log.String(), "planes=user,administrator"); n != 2 {
		t.Errorf("%d sessions of administrators, want those by the first CA alone:\n%s", n, log)
	}
	notIn(t, ts, department.Leaf("bob", accesstest.Planes("user")).TLS(), 0)
}

// TestCertificatesOfOpenSSL are like those of the draft's author: an RSA key, a
// CN, and nothing that names a plane or an SE.
func TestCertificatesOfOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		needs.Missing(t, "needs openssl")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(openssl, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", args, err, out)
		}
	}
	run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-subj", "/C=FR/O=TEST/CN=root", "-days", "2")
	for name, how := range map[string][2]string{"client": {"rsa:2048", "-sha256"}, "short": {"rsa:1024", "-sha256"}, "sha1": {"rsa:2048", "-sha1"}} {
		run("req", "-newkey", how[0], "-nodes", "-keyout", name+".key", "-out", name+".csr", "-subj", "/C=FR/O=TEST/CN=client")
		run("x509", "-req", how[1], "-in", name+".csr", "-CA", "root.pem", "-CAkey", "root.key", "-set_serial", "1", "-out", name+".pem", "-days", "1")
	}
	pair := func(name string) tls.Certificate {
		cert, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	cas, err := access.ReadCAs(filepath.Join(dir, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	further := []access.Further{{Name: "root.pem", Certificates: cas}}
	without, _, log := start(t, stptest.Options{Further: further})
	notIn(t, without, pair("client"), 0)
	log.waitFor(t, "it has no plane")

	ts, card, log := start(t, stptest.Options{
		Further: further, MinVersion: tls.VersionTLS12,
		Rules: []access.Rule{{Issuer: access.KeyID(cas[0]), Name: "client", Planes: access.User, SEs: []string{"card"}}},
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conf := ts.TLS(pair("client"))
		conf.MaxVersion = version
		ended(t, closing(t, holdWith(t, ts, conf)), card)
	}
	for name, why := range map[string]string{"short": "an RSA key of 1024 bits", "sha1": "insecure algorithm SHA1-RSA"} {
		notIn(t, ts, pair(name), 0)
		log.waitFor(t, why)
	}
}

// A client that shows a CA of its own making gets nowhere.
func TestOwnIntermediateOfAClient(t *testing.T) {
	ts, card, _ := start(t, stptest.Options{})
	own := accesstest.Of(t, ts.Authority.Certificate(), ts.Authority.Signer())
	// A user's certificate signs another: the user is no CA.
	cred := ts.Credential("alice", access.User)
	leaf, err := x509.ParseCertificate(cred.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	alice := accesstest.Of(t, leaf, cred.PrivateKey.(crypto.Signer))
	forged := alice.Leaf("admin", accesstest.Planes("administrator")).TLS()
	forged.Certificate = append(forged.Certificate, cred.Certificate[0])
	notIn(t, ts, forged, 0)
	// The own CA may have no CA below it (path length 0), whoever signs it.
	below := own.CA("below")
	notIn(t, ts, below.Leaf("admin", accesstest.Planes("administrator")).TLS(), 0)
	if n := card.Counts().PowerOns; n != 0 {
		t.Errorf("the card was powered on %d times", n)
	}
	hold(t, ts, cred) // as herself she gets in
}
