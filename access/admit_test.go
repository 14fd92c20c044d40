package access_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/access/accesstest"
)

// world is a TSES with its CA and a partner's.
type world struct {
	own     *access.Authority
	ca      *accesstest.CA // the own one, without its manners
	partner *accesstest.CA
}

func newWorld(t testing.TB) *world {
	a, _ := authority(t)
	return &world{own: a, ca: accesstest.Of(t, a.Certificate(), a.Signer()), partner: accesstest.New(t, "partner CA")}
}

// gate lets in whom a table for the partner, if any, and rules let in.
func (w *world) gate(t testing.TB, further []access.Further, rules ...access.Rule) *access.Gate {
	t.Helper()
	p, err := access.NewPolicy(rules)
	if err != nil {
		t.Fatal(err)
	}
	g, err := access.NewGate(w.own.Registry(), trusting(t, w.own, further...), p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// table is what is said of CAs.
func table(planes access.Plane, ses []string, cas ...*accesstest.CA) access.Further {
	f := access.Further{Name: "partner.pem", Planes: planes, SEs: ses}
	for _, ca := range cas {
		f.Certificates = append(f.Certificates, ca.Cert)
	}
	return f
}

// admit is what a TLS server does with a certificate that is shown to it.
func admit(g *access.Gate, leaf *accesstest.Leaf) (*access.Credential, error) {
	chains, err := leaf.Chains(g.Trust().Pool())
	if err != nil {
		return nil, err
	}
	return g.Admit(chains)
}

var seids = []string{"sim1", "sim2", "soft1", "x"}

func sees(c *access.Credential) (seen []string) {
	for _, seid := range seids {
		if c.MaySee(seid) {
			seen = append(seen, seid)
		}
	}
	return seen
}

const both = access.User | access.Administrative

// TestWhatCAsAndRulesGive is the table of who has which planes and sees which SEs.
func TestWhatCAsAndRulesGive(t *testing.T) {
	w := newWorld(t)
	id := access.KeyID(w.partner.Cert)
	own := access.KeyID(w.own.Certificate())
	sub := w.partner.CA("partner department")
	rules := func(r ...access.Rule) []access.Rule { return r }
	def, admin := table(0, nil, w.partner), table(both, []string{"sim*"}, w.partner)
	named := func(ca *accesstest.CA, ous ...string) *accesstest.Leaf {
		return ca.Leaf("bob", accesstest.Planes(ous...))
	}
	narrow := func(ca *accesstest.CA) *accesstest.Leaf {
		return ca.Leaf("bob", accesstest.Planes("user"), accesstest.URIs("urn:tses:se:s%2A1"))
	}
	for _, tt := range []struct {
		name   string
		table  access.Further
		rules  []access.Rule
		leaf   *accesstest.Leaf
		planes access.Plane // 0: not let in
		ses    []string
	}{
		{"own, both planes", def, nil, named(w.ca, "user", "administrator"), both, seids},
		{"own, no plane", def, nil, named(w.ca), 0, nil},
		{"partner's user", def, nil, named(w.partner, "user"), access.User, seids},
		{"partner's administrator, by a table that does not say", def, nil, named(w.partner, "administrator"), 0, nil},
		{"partner's user and administrator, by a table that does not say", def, nil, named(w.partner, "user", "administrator"), access.User, seids},
		{"partner's administrator, by a table that gives it", admin, nil, named(w.partner, "administrator"), access.Administrative, []string{"sim1", "sim2"}},
		{"the table's planes are no gift", admin, nil, named(w.partner, "user"), access.User, []string{"sim1", "sim2"}},
		{"partner's own SEs within the table's", admin, nil, narrow(w.partner), access.User, []string{"sim1"}},
		{"partner without a plane", def, nil, named(w.partner), 0, nil},
		{"a department of the partner", admin, nil, named(sub, "user", "administrator"), both, []string{"sim1", "sim2"}},

		{"a rule gives a plane and SEs", def, rules(access.Rule{Name: "bob", Planes: access.User, SEs: []string{"soft1"}}), named(w.partner), access.User, []string{"soft1"}},
		{"a rule gives no more than the table", def, rules(access.Rule{Name: "bob", Planes: both}), named(w.partner), access.User, seids},
		{"a rule gives a plane that the table does not", def, rules(access.Rule{Name: "bob", Planes: access.Administrative}), named(w.partner), 0, nil},
		{"a rule adds no plane to those that a certificate names", admin, rules(access.Rule{Name: "bob", Planes: both}), named(w.partner, "user"), access.User, []string{"sim1", "sim2"}},
		{"a rule takes a plane away", def, rules(access.Rule{Name: "bob", Planes: access.User}), named(w.ca, "user", "administrator"), access.User, seids},
		{"a rule takes all planes away", def, rules(access.Rule{Name: "bob", Planes: access.Administrative}), named(w.ca, "user"), 0, nil},
		{"a rule's SEs within the table's", admin, rules(access.Rule{Name: "bob", SEs: []string{"sim1", "soft1"}}), named(w.partner, "user"), access.User, []string{"sim1"}},
		{"a rule's SEs within its own", def, rules(access.Rule{Name: "bob", SEs: []string{"s*"}}), narrow(w.ca), access.User, []string{"sim1", "soft1"}},
		{"a rule of another", def, rules(access.Rule{Name: "carol", SEs: []string{"x"}}), named(w.ca, "user"), access.User, seids},
		{"two rules together", def, rules(access.Rule{Name: "bob", SEs: []string{"sim1"}}, access.Rule{Issuer: own, SEs: []string{"x"}}), named(w.ca, "user"), access.User, []string{"sim1", "x"}},
		{"one of two rules says nothing of SEs", def, rules(access.Rule{Name: "bob", SEs: []string{"sim1"}}, access.Rule{Name: "bob", Planes: access.User}), named(w.partner), access.User, []string{"sim1"}},

		{"by issuer", def, rules(access.Rule{Issuer: id, Planes: access.User, SEs: []string{"x"}}), named(w.partner), access.User, []string{"x"}},
		{"by issuer, through a department", def, rules(access.Rule{Issuer: id, SEs: []string{"x"}}), named(sub, "user"), access.User, []string{"x"}},
		{"by issuer, the department's", def, rules(access.Rule{Issuer: access.KeyID(sub.Cert), SEs: []string{"x"}}), named(sub, "user"), access.User, []string{"x"}},
		{"by issuer, of another department", def, rules(access.Rule{Issuer: access.KeyID(sub.Cert), SEs: []string{"x"}}), named(w.partner, "user"), access.User, seids},
		{"by issuer, the own one's", def, rules(access.Rule{Issuer: id, SEs: []string{"x"}}), named(w.ca, "user"), access.User, seids},
		{"by issuer and name", def, rules(access.Rule{Issuer: id, Name: "bob", SEs: []string{"x"}}), named(w.partner, "user"), access.User, []string{"x"}},
		{"by issuer and name, the own bob", def, rules(access.Rule{Issuer: id, Name: "bob", SEs: []string{"x"}}), named(w.ca, "user"), access.User, seids},
		{"by issuer and serial", def, rules(access.Rule{Issuer: id, Serial: "00:AB", SEs: []string{"x"}}), w.partner.Leaf("bob", accesstest.Planes("user"), accesstest.Serial(0xAB)), access.User, []string{"x"}},
		{"by issuer and serial, the own CA's", def, rules(access.Rule{Issuer: id, Serial: "ab", SEs: []string{"x"}}), w.ca.Leaf("bob", accesstest.Planes("user"), accesstest.Serial(0xAB)), access.User, seids},

		{"others", def, rules(access.Rule{Name: "carol", SEs: []string{"x"}}, access.Rule{Others: true, SEs: []string{"sim1"}}), named(w.ca, "user"), access.User, []string{"sim1"}},
		{"not others", def, rules(access.Rule{Others: true, SEs: []string{"sim1"}}, access.Rule{Name: "bob", SEs: []string{"x"}}), named(w.ca, "user"), access.User, []string{"x"}},
		{"others get planes", def, rules(access.Rule{Others: true, Planes: access.User}), named(w.partner), access.User, seids},
		{"who is named by its issuer is no other", def, rules(access.Rule{Others: true, SEs: []string{"sim1"}}, access.Rule{Issuer: id, SEs: []string{"x"}}), named(w.partner, "user"), access.User, []string{"x"}},
		{"others of an issuer", def, rules(access.Rule{Others: true, Issuer: id, SEs: []string{"sim1"}}), named(w.partner, "user"), access.User, []string{"sim1"}},
		{"no others of that issuer", def, rules(access.Rule{Others: true, Issuer: id, SEs: []string{"sim1"}}), named(w.ca, "user"), access.User, seids},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := admit(w.gate(t, []access.Further{tt.table}, tt.rules...), tt.leaf)
			if tt.planes == 0 {
				if !errors.Is(err, access.ErrNoPlane) || !errors.Is(err, access.ErrNotAdmitted) {
					t.Fatalf("%+v, %v; want ErrNoPlane", c, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := sees(c); c.Planes != tt.planes || !slices.Equal(got, tt.ses) {
				t.Errorf("planes %v, sees %v; want %v, %v", c.Planes, got, tt.planes, tt.ses)
			}
		})
	}
}

// TestWhoseTable: what applies is said of the certificate that a chain ends in,
// however other CAs dress themselves up.
func TestWhoseTable(t *testing.T) {
	w := newWorld(t)
	other := accesstest.New(t, "other CA")
	further := []access.Further{
		{Name: "partner.pem", Certificates: []*x509.Certificate{w.partner.Cert, other.Cert}, SEs: []string{"sim1"}},
		{Name: "third.pem", Certificates: []*x509.Certificate{accesstest.New(t, "third CA").Cert}, Planes: both},
	}
	g := w.gate(t, further)
	everything := []accesstest.Change{accesstest.Planes("user", "administrator")}
	ownName := func(tmpl *x509.Certificate, _ *crypto.Signer) {
		tmpl.Subject, tmpl.RawSubject = w.own.Certificate().Subject, w.own.Certificate().RawSubject
		tmpl.SubjectKeyId = w.own.Certificate().SubjectKeyId
	}
	imitated := w.partner.CA("", ownName)
	owned := w.partner.CA("", ownName, accesstest.Serial(1), func(tmpl *x509.Certificate, _ *crypto.Signer) {
		tmpl.SerialNumber = w.own.Certificate().SerialNumber
	})
	cross := w.partner.Cross(w.ca)
	crossLeaf := w.ca.Leaf("bob", everything...)
	crossLeaf.Above = []*x509.Certificate{cross.Cert}
	for _, tt := range []struct {
		name  string
		leaf  *accesstest.Leaf
		ca    string
		admin bool
	}{
		{"own", w.ca.Leaf("bob", everything...), "", true},
		{"partner", w.partner.Leaf("bob", everything...), "partner.pem", false},
		{"the second of a file", other.Leaf("bob", everything...), "partner.pem", false},
		{"a CA below the partner with the own CA's name", imitated.Leaf("bob", everything...), "partner.pem", false},
		{"and its number", owned.Leaf("bob", everything...), "partner.pem", false},
		{"own, shown with the partner's certificate for the own CA", crossLeaf, "", true},
	} {
		c, err := admit(g, tt.leaf)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if c.CA != tt.ca || (c.Planes&access.Administrative != 0) != tt.admin || c.MaySee("x") != tt.admin {
			t.Errorf("%s: of %q, planes %v, sees %v", tt.name, c.CA, c.Planes, sees(c))
		}
	}
	// Of several chains the own CA's counts, whichever comes first.
	chains, err := crossLeaf.Chains(g.Trust().Pool())
	if err != nil || len(chains) != 2 {
		t.Fatalf("%d chains, %v; want one to each CA", len(chains), err)
	}
	for range 2 {
		if c, err := g.Admit(chains); err != nil || c.CA != "" || c.Issuer != access.KeyID(w.own.Certificate()) || len(c.Chain) != 2 {
			t.Errorf("%+v, %v; want the own CA's chain", c, err)
		}
		slices.Reverse(chains)
	}
	// One that is not good does not spoil another.
	if _, err := w.own.Registry().RevokeID(access.ID{Issuer: access.KeyID(w.own.Certificate()), Serial: access.SerialString(w.own.Certificate())}); err != nil {
		t.Fatal(err)
	}
	if c, err := g.Admit(chains); err != nil || c.CA != "partner.pem" || c.Planes != access.User {
		t.Errorf("%+v, %v; want what is left, the partner's", c, err)
	}
	for _, chains := range [][][]*x509.Certificate{nil, {{}}, {{w.ca.Leaf("x").Cert}}, {{w.ca.Leaf("x").Cert, accesstest.New(t, "stranger").Cert}}} {
		if c, err := g.Admit(chains); !errors.Is(err, access.ErrUntrusted) || !errors.Is(err, access.ErrNotAdmitted) {
			t.Errorf("a chain to nobody: %+v, %v", c, err)
		}
	}
}

// TestRevokedByWhom: a serial number is one CA's alone.
func TestRevokedByWhom(t *testing.T) {
	w := newWorld(t)
	user := accesstest.Planes("user")
	sub := w.partner.CA("department", accesstest.Serial(0x11112222))
	g := w.gate(t, []access.Further{table(0, nil, w.partner)})
	r := w.own.Registry()
	mine, _, err := w.own.Issue(access.Order{Name: "mine", Planes: access.User, Life: year})
	if err != nil {
		t.Fatal(err)
	}
	number, _ := new(big.Int).SetString(mine.Serial, 16)
	copied := func(tmpl *x509.Certificate, _ *crypto.Signer) { tmpl.SerialNumber = number }
	ours, theirs := w.ca.Leaf("ours", user, copied), w.partner.Leaf("theirs", user, copied)
	ours7, theirs7 := w.ca.Leaf("ours", user, accesstest.Serial(7)), w.partner.Leaf("theirs", user, accesstest.Serial(7))
	below, beside := sub.Leaf("below", user), w.partner.Leaf("beside", user, accesstest.Serial(0x33334444))

	in := func(when string, leaf *accesstest.Leaf, want bool) {
		t.Helper()
		c, err := admit(g, leaf)
		if (err == nil) != want || err != nil && !errors.Is(err, access.ErrRevoked) {
			t.Errorf("%s: %s: %v, want in: %v", when, leaf.Cert.Subject.CommonName, err, want)
		}
		if err == nil && c.ID() != (access.ID{Issuer: c.Issuer, Serial: access.SerialString(leaf.Cert)}) {
			t.Errorf("%v", c.ID())
		}
	}
	for _, leaf := range []*accesstest.Leaf{ours, theirs, ours7, theirs7, below, beside} {
		in("at first", leaf, true)
	}
	if _, err := r.Revoke(mine.Serial); err != nil {
		t.Fatal(err)
	}
	in("what was issued here", ours, false)
	in("what was issued here", theirs, true)
	if e, err := r.RevokeID(access.ID{Issuer: strings.ToUpper(access.KeyID(w.partner.Cert)), Serial: "0:7"}); err != nil || e.Serial != "7" {
		t.Errorf("%+v, %v", e, err)
	}
	in("the partner's", theirs7, false)
	in("the partner's", ours7, true)
	if _, err := r.RevokeID(access.ID{Issuer: access.KeyID(w.partner.Cert), Serial: "7"}); !errors.Is(err, access.ErrNoCredential) {
		t.Errorf("again: %v", err)
	}
	live, err := admit(g, below)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Revoke("11112222"); err != nil { // the department's certificate, by its number alone
		t.Fatal(err)
	}
	in("the department", below, false)
	in("the department", beside, true)
	if err := g.Check(live); !errors.Is(err, access.ErrRevoked) || !errors.Is(err, access.ErrNotAdmitted) || !strings.Contains(err.Error(), "11112222") {
		t.Errorf("a session by way of the department: %v, want to be ended with the reason", err)
	}
	if _, err := r.Revoke("33334444"); err != nil {
		t.Fatal(err)
	}
	in("a number of any CA", beside, false)
	root := access.ID{Issuer: access.KeyID(w.partner.Cert), Serial: access.SerialString(w.partner.Cert)}
	if _, err := r.RevokeID(root); err != nil {
		t.Fatal(err)
	}
	in("the partner's CA", w.partner.Leaf("new", user), false)
	in("the partner's CA", ours7, true)
	for _, bad := range []access.ID{{}, {Serial: "7"}, {Issuer: root.Issuer}, {Issuer: "7", Serial: "7"}, {Issuer: root.Issuer, Serial: "bob"}} {
		if _, err := r.RevokeID(bad); err == nil || errors.Is(err, access.ErrNoCredential) {
			t.Errorf("RevokeID(%v): %v, want to be told what is wrong", bad, err)
		}
	}
	// A number that is revoked as one CA's can be revoked as everybody's.
	if _, err := r.Revoke(root.Serial); err != nil {
		t.Errorf("the number of the partner's CA, of all: %v", err)
	}
}

// TestOldRegistry: a registry from before issuers were written down is as strong
// as it was.
func TestOldRegistry(t *testing.T) {
	a, dir := authority(t)
	const old = `[{"serial":"7","name":"bob","planes":["user"],"issued":"2026-01-01T00:00:00Z","revoked":"2026-01-02T03:04:05Z"},
		{"serial":"8","revoked":"2026-01-02T03:04:05Z"},{"serial":"9","name":"carol","planes":["user"],"issued":"2026-01-01T00:00:00Z"}]`
	if err := os.WriteFile(dir+"/credentials.json", []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{own: a, ca: accesstest.Of(t, a.Certificate(), a.Signer()), partner: accesstest.New(t, "partner")}
	g := w.gate(t, []access.Further{table(0, nil, w.partner)})
	for serial, want := range map[int64]bool{7: false, 8: false, 9: true} {
		for _, ca := range []*accesstest.CA{w.ca, w.partner} {
			if _, err := admit(g, ca.Leaf("x", accesstest.Planes("user"), accesstest.Serial(serial))); (err == nil) != want {
				t.Errorf("serial %d of %s: %v, want in: %v", serial, ca.Cert.Subject.CommonName, err, want)
			}
		}
	}
	if _, err := a.Registry().Revoke("carol"); err != nil {
		t.Fatal(err)
	}
	if entries, err := a.Registry().Entries(); err != nil || len(entries) != 3 || entries[2].ID() != (access.ID{Serial: "9"}) {
		t.Errorf("%+v, %v", entries, err)
	}
}

// TestExpiryOfAChain: a credential ends with the first of its chain.
func TestExpiryOfAChain(t *testing.T) {
	w := newWorld(t)
	soon := time.Now().Add(10 * time.Minute).UTC().Truncate(time.Second)
	user := accesstest.Planes("user")
	short := accesstest.New(t, "short", accesstest.Until(soon))
	for name, leaf := range map[string]*accesstest.Leaf{
		"its own":        w.partner.Leaf("bob", user, accesstest.Until(soon)),
		"a CA's between": w.partner.CA("x", accesstest.Until(soon)).Leaf("bob", user),
		"the root's":     short.Leaf("bob", user),
	} {
		g := w.gate(t, []access.Further{table(0, nil, w.partner, short)})
		c, err := admit(g, leaf)
		if err != nil || !c.NotAfter.Equal(soon) {
			t.Errorf("%s: %+v, %v; want until %v", name, c, err, soon)
			continue
		}
		access.SetClock(g, soon.Add(time.Second))
		if err := g.Check(c); !errors.Is(err, access.ErrExpired) || !errors.Is(err, access.ErrNotAdmitted) {
			t.Errorf("%s: after it: %v", name, err)
		}
	}
}

// TestWeakCertificates: what Go takes and this does not, and what neither takes.
func TestWeakCertificates(t *testing.T) {
	rsaKey := func(bits int) crypto.Signer {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	curve := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	usage := func(u x509.KeyUsage) accesstest.Change {
		return func(c *x509.Certificate, _ *crypto.Signer) { c.KeyUsage = u }
	}
	extended := func(u ...x509.ExtKeyUsage) accesstest.Change {
		return func(c *x509.Certificate, _ *crypto.Signer) { c.ExtKeyUsage = u }
	}
	none := func(c *x509.Certificate, _ *crypto.Signer) { // key usage: BIT STRING of no bits
		c.KeyUsage = 0
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{3, 1, 0}}}
	}
	weak, short := accesstest.Key(rsaKey(2047)), accesstest.Key(rsaKey(1024))
	sha1 := func(c *x509.Certificate, _ *crypto.Signer) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }
	asCA := func(c *x509.Certificate, _ *crypto.Signer) { c.IsCA, c.BasicConstraintsValid = true, true }
	serverOnly := w.partner.CA("servers", extended(x509.ExtKeyUsageServerAuth))
	named := w.partner.CA("example.org alone", func(c *x509.Certificate, _ *crypto.Signer) { c.PermittedURIDomains = []string{"example.org"} })
	for _, tt := range []struct {
		name string
		ca   *accesstest.CA
		make accesstest.Change
		want string // part of the error; "": let in
	}{
		{"P-256", w.partner, nil, ""},
		{"P-384", w.partner, accesstest.Key(curve(elliptic.P384())), ""},
		{"Ed25519", w.partner, accesstest.Key(edwards), ""},
		{"RSA 2048", w.partner, accesstest.Key(rsaKey(2048)), ""},
		{"RSA 2047", w.partner, weak, "RSA key of 2047 bits"},
		{"RSA 1024", w.partner, short, "RSA key of 1024 bits"},
		{"P-224", w.partner, accesstest.Key(curve(elliptic.P224())), "P-224"},
		{"a CA between with RSA 1024", w.partner.CA("small", short), nil, "RSA key of 1024 bits"},
		{"digitalSignature among others", w.partner, usage(x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment), ""},
		{"no key usage", w.partner, usage(0), ""},
		{"keyEncipherment alone", w.partner, usage(x509.KeyUsageKeyEncipherment), "digitalSignature"},
		{"contentCommitment alone", w.partner, usage(x509.KeyUsageContentCommitment), "digitalSignature"},
		{"a key usage of no bits", w.partner, none, "digitalSignature"},
		{"no extended key usage", w.partner, extended(), ""},
		{"any extended key usage", w.partner, extended(x509.ExtKeyUsageAny), ""},
		{"client among others", w.partner, extended(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), ""},
		{"server alone", w.partner, extended(x509.ExtKeyUsageServerAuth), "incompatible key usage"},
		{"another use alone", w.partner, extended(x509.ExtKeyUsageEmailProtection), "incompatible key usage"},
		{"below a CA for servers", serverOnly, nil, "incompatible key usage"},
		{"a CA's", w.partner, asCA, "it is a CA's"},
		{"signed with SHA-1", w.partner, sha1, "insecure algorithm"},
		{"a CA between signed with SHA-1", w.partner.CA("sha1", sha1), nil, "insecure algorithm"},
		{"an SE below a CA for names", named, accesstest.URIs("urn:tses:se:soft1"), "URI"},
		{"own, RSA 1024", w.ca, short, "RSA key of 1024 bits"},
		{"own, keyEncipherment alone", w.ca, usage(x509.KeyUsageKeyEncipherment), "digitalSignature"},
		{"own, a misspelt URI", w.ca, func(c *x509.Certificate, _ *crypto.Signer) {
			c.URIs = []*url.URL{{Scheme: "tses", Opaque: "se:soft1"}}
		}, "want urn:tses:se:GLOB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changes := []accesstest.Change{accesstest.Planes("user")}
			if tt.make != nil {
				changes = append(changes, tt.make)
			}
			c, err := admit(w.gate(t, []access.Further{table(0, nil, w.partner)}), tt.ca.Leaf("bob", changes...))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v, %v; want %q", c, err, tt.want)
			}
		})
	}
}

// A CA that is shown as a user's own certificate does not let its holder in.
func TestTrustedCAComesItself(t *testing.T) {
	w := newWorld(t)
	signs := accesstest.New(t, "CA", accesstest.Planes("administrator"), func(c *x509.Certificate, _ *crypto.Signer) { c.KeyUsage |= x509.KeyUsageDigitalSignature })
	g := w.gate(t, []access.Further{table(both, nil, signs)})
	for _, ca := range []*accesstest.CA{signs, w.ca} {
		if c, err := admit(g, &accesstest.Leaf{Cert: ca.Cert, Key: ca.Key}); !errors.Is(err, access.ErrWeak) {
			t.Errorf("%+v, %v; want ErrWeak", c, err)
		}
	}
}
