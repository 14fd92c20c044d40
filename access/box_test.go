package access

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/needs"
)

// newBox makes an owner, and the files of a box of theirs.
func newBox(t *testing.T, name string, more ...string) (owner *Authority, id *BoxIdentity, dir string) {
	t.Helper()
	owner, err := CreateOwner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if id, err = owner.IssueBox(name, more, nil); err != nil {
		t.Fatal(err)
	}
	return owner, id, writeBox(t, id.Files(owner, nil))
}

func writeBox(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func openBox(t *testing.T, dir, state string) *Box {
	t.Helper()
	b, err := OpenBox(dir, state)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verify judges a chain as a client does that trusts the owner alone.
func verify(owner *Authority, chain [][]byte, name string, usage x509.ExtKeyUsage) error {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(owner.Certificate())
	for _, der := range chain[1:] {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		between.AddCert(ca)
	}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestBoxServerCertificate(t *testing.T) {
	owner, _, dir := newBox(t, "tses-1a2b", "tses.lab.example")
	state := t.TempDir()
	cert, err := openBox(t, dir, state).ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string]bool{
		"tses-1a2b": true, "tses-1a2b.local": true, "tses.lab.example": true,
		"tses-ffff.local": false, "localhost": false, "127.0.0.1": false,
	} {
		if err := verify(owner, cert.Certificate, name, x509.ExtKeyUsageServerAuth); (err == nil) != good {
			t.Errorf("as %s: %v, want good %v", name, err, good)
		}
	}
	again, err := openBox(t, dir, state).ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.Certificate[0], cert.Certificate[0]) {
		t.Error("the second start made another server certificate")
	}
	stranger, _, _ := newBox(t, "tses-1a2b")
	if err := verify(stranger, cert.Certificate, "tses-1a2b", x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("a client of another owner accepts the box")
	}
}

// A box that is given other names, and then its old ones again, is reached by
// just those each time.
func TestBoxIsRenamed(t *testing.T) {
	owner, id, dir := newBox(t, "tses-1a2b", "lab.example")
	state := t.TempDir()
	dirs := map[string]string{"with lab.example": dir}
	for what, more := range map[string][]string{"without": nil, "with two": {"lab.example", "other.example"}, "in another order": {"other.example", "lab.example"}} {
		next, err := owner.IssueBox("tses-1a2b", more, id)
		if err != nil {
			t.Fatal(err)
		}
		dirs[what] = writeBox(t, next.Files(owner, nil))
	}
	// A card with the same names, whose CA was made anew.
	anew, err := owner.IssueBox("tses-1a2b", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	dirs["anew"] = writeBox(t, anew.Files(owner, nil))
	for _, what := range []string{"with lab.example", "without", "anew", "with lab.example", "with two", "in another order", "with lab.example", "without"} {
		b := openBox(t, dirs[what], state)
		cert, err := b.ServerCertificate()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for _, name := range b.Names() {
			if err := verify(owner, cert.Certificate, name, x509.ExtKeyUsageServerAuth); err != nil {
				t.Errorf("%s: as %s: %v", what, name, err)
			}
		}
		if err := b.CheckChain(cert.Certificate); err != nil {
			t.Errorf("%s: CheckChain: %v", what, err)
		}
		if got := cert.Leaf.DNSNames; !slices.Equal(got, b.Names()) {
			t.Errorf("%s: it is for %q, want %q", what, got, b.Names())
		}
		again, err := openBox(t, dirs[what], state).ServerCertificate()
		if err != nil || !slices.Equal(again.Certificate[0], cert.Certificate[0]) {
			t.Errorf("%s: the second start made another server certificate, %v", what, err)
		}
	}
}

// A chain that clients refuse is no chain for the box itself either.
func TestCheckChain(t *testing.T) {
	owner, id, dir := newBox(t, "tses-1a2b", "lab.example")
	b := openBox(t, dir, t.TempDir())
	good, err := b.ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	fewer, err := owner.IssueBox("tses-1a2b", nil, id)
	if err != nil {
		t.Fatal(err)
	}
	fewerCA, err := decodeCert(fewer.CertPEM)
	if err != nil {
		t.Fatal(err)
	}
	client, _, err := b.ca.sign(&x509.Certificate{DNSNames: b.names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, _, other := newBox(t, "tses-1a2b", "lab.example")
	stranger, err := openBox(t, other, t.TempDir()).ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		chain [][]byte
		good  bool
	}{
		{"its own", good.Certificate, true},
		{"a CA for fewer names", [][]byte{good.Certificate[0], fewerCA.Raw}, false},
		{"a client's", [][]byte{client.Raw, good.Certificate[1]}, false},
		{"another owner's", stranger.Certificate, false},
		{"without the CA", good.Certificate[:1], false},
		{"nonsense", [][]byte{{1}, {2}}, false},
	} {
		if err := b.CheckChain(tt.chain); (err == nil) != tt.good {
			t.Errorf("%s: %v, want good %v", tt.name, err, tt.good)
		}
	}
	// Names that the CA on the card is not for are said to be the card's fault.
	files := fewer.Files(owner, nil)
	files[boxNameFile] = strings.Join(id.Names, "\n")
	if _, err := openBox(t, writeBox(t, files), t.TempDir()).ServerCertificate(); err == nil || !strings.Contains(err.Error(), "make the SD card again") {
		t.Errorf("a card with names that its CA is not for: %v", err)
	}
}

// What the box CA's key can be misused for by who steals the card.
func TestStolenBoxCA(t *testing.T) {
	owner, _, dir := newBox(t, "tses-1a2b")
	b := openBox(t, dir, t.TempDir())
	for _, tt := range []struct {
		name  string
		tmpl  x509.Certificate
		as    string
		usage x509.ExtKeyUsage
	}{
		{"another box", x509.Certificate{DNSNames: []string{"tses-ffff.local"}}, "tses-ffff.local", x509.ExtKeyUsageServerAuth},
		{"another box beside its own", x509.Certificate{DNSNames: []string{"tses-1a2b.local", "tses-ffff.local"}}, "tses-ffff.local", x509.ExtKeyUsageServerAuth},
		{"a name below its own", x509.Certificate{DNSNames: []string{"tses-ffff.tses-1a2b.local"}}, "tses-ffff.tses-1a2b.local", x509.ExtKeyUsageServerAuth},
		{"all names below its own", x509.Certificate{DNSNames: []string{"*.tses-1a2b.local"}}, "x.tses-1a2b.local", x509.ExtKeyUsageServerAuth},
		{"an IPv4 address", x509.Certificate{IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}, "192.0.2.1", x509.ExtKeyUsageServerAuth},
		{"an IPv6 address", x509.Certificate{IPAddresses: []net.IP{net.ParseIP("2001:db8::1")}}, "2001:db8::1", x509.ExtKeyUsageServerAuth},
		{"an administrator", x509.Certificate{Subject: pkix.Name{CommonName: "admin", OrganizationalUnit: []string{"administrator"}}}, "", x509.ExtKeyUsageClientAuth},
	} {
		tt.tmpl.ExtKeyUsage = []x509.ExtKeyUsage{tt.usage}
		cert, _, err := b.ca.sign(&tt.tmpl, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(owner, [][]byte{cert.Raw, b.ca.cert.Raw}, tt.as, tt.usage); err == nil {
			t.Errorf("%s: the box CA can sign it", tt.name)
		}
	}
	// A CA below the box CA would not be held by the constraints' letter alone.
	below, err := createAuthority(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	middle := *below.cert
	middle.PublicKey = below.key.Public().(*ecdsa.PublicKey)
	der, err := x509.CreateCertificate(nil, &middle, b.ca.cert, middle.PublicKey, b.ca.key)
	if err != nil {
		t.Fatal(err)
	}
	if below.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	cert, _, err := below.sign(&x509.Certificate{DNSNames: []string{"tses-1a2b.local"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(owner, [][]byte{cert.Raw, der, b.ca.cert.Raw}, "tses-1a2b.local", x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("the box CA can sign a CA")
	}
}

// An owner's own credentials stay good, and a TSES without an owner can have
// no boxes.
func TestOwnerAuthority(t *testing.T) {
	owner, _, _ := newBox(t, "tses-1a2b")
	_, text, err := owner.Issue(Order{Name: "admin", Planes: Administrative, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(owner, pair.Certificate, "", x509.ExtKeyUsageClientAuth); err != nil {
		t.Errorf("the administrator is not let in: %v", err)
	}
	single, err := CreateAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := single.IssueBox("tses-1a2b", nil, nil); err == nil {
		t.Error("a CA of path length 0 signed a box CA")
	}
}

func TestIssueBoxNames(t *testing.T) {
	owner, id, _ := newBox(t, "tses-1a2b")
	for _, tt := range []struct {
		name, more, want string
	}{
		{"", "", "box name"}, {"-a", "", "box name"}, {"TSES", "", "box name"}, {"a.b", "", "box name"},
		{"a\nb", "", "box name"}, {strings.Repeat("a", 41), "", "box name"},
		{"tses-1a2b", "192.0.2.1", "no DNS name"}, {"tses-1a2b", "::1", "no DNS name"},
		{"tses-1a2b", "local", "below the other"}, {"tses-1a2b", "x.tses-1a2b", "below the other"}, {"tses-1a2b", "X.tses-1a2b.Local", "below the other"},
		{"tses-1a2b", "*.example", "no DNS name"}, {"tses-1a2b", "a b", "no DNS name"}, {"tses-1a2b", "a\nb", "no DNS name"},
	} {
		_, err := owner.IssueBox(tt.name, []string{tt.more}, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("IssueBox(%q, %q): %v, want %q in it", tt.name, tt.more, err, tt.want)
		}
	}
	for _, more := range [][]string{{"example.org", "tses.example.org"}, {"a.b.example.org", "example.org"}} {
		if _, err := owner.IssueBox("tses-1a2b", more, nil); err == nil || !strings.Contains(err.Error(), "below the other") {
			t.Errorf("IssueBox with %q: %v, want it refused", more, err)
		}
	}
	// Whatever BoxNames lets through, a CA that is good for nothing is not issued.
	nested := []string{"example.org", "tses.example.org"}
	key, err := decodeKey(id.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(nil, boxTemplate(nested, owner.cert), owner.cert, key.Public(), owner.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.probe(nested, der, key); err == nil {
		t.Errorf("a CA for %q, that excludes what it permits: no error", nested)
	}
	// Only whole labels count.
	if _, err := owner.IssueBox("tses-1a2b", []string{"example.org", "myexample.org", "notlocal"}, nil); err != nil {
		t.Errorf("names beside each other: %v", err)
	}
	if !owner.SameBox(id, "tses-1a2b", nil) {
		t.Error("an identity is not the one it was issued as")
	}
	if owner.SameBox(id, "tses-1a2b", []string{"lab.example"}) {
		t.Error("an identity has a name that it was not issued for")
	}
	renamed, err := owner.IssueBox("tses-1a2b", []string{"Lab.example"}, id)
	if err != nil {
		t.Fatal(err)
	}
	if string(renamed.KeyPEM) != string(id.KeyPEM) || !owner.SameBox(renamed, "tses-1a2b", []string{"lab.example"}) {
		t.Error("a further name made another identity")
	}
	// A power cut has left the new certificate beside the old names.
	torn := *renamed
	torn.Names = id.Names
	if owner.SameBox(&torn, "tses-1a2b", nil) {
		t.Error("an identity whose CA is for other names is taken")
	}
}

// What was revoked when the card was made stays revoked, what is revoked later
// too.
func TestBoxRevocations(t *testing.T) {
	owner, id, _ := newBox(t, "tses-1a2b")
	dir := writeBox(t, id.Files(owner, []string{"4f00000000000001", "4f00000000000002"}))
	state := t.TempDir()
	b := openBox(t, dir, state)
	if _, err := b.ServerCertificate(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Registry().Revoke("4f00000000000003"); err != nil {
		t.Fatal(err)
	}
	entries, err := openBox(t, dir, state).Registry().Entries()
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 || slices.ContainsFunc(entries, func(e Entry) bool { return e.Revoked.IsZero() }) {
		t.Errorf("registry %+v, want three revoked serials", entries)
	}
	if err := os.Remove(filepath.Join(state, registryFile)); err != nil {
		t.Fatal(err)
	}
	b, err = OpenBox(dir, state)
	if err == nil {
		_, err = NewGate(b.Registry(), new(Trust), nil)
	}
	if err == nil {
		t.Error("a lost registry was replaced by an empty one")
	}
}

// A box is told of which CA a revoked certificate is, where it is not its owner's.
func TestBoxRevocationsOfOthers(t *testing.T) {
	owner, id, _ := newBox(t, "tses-1a2b")
	mine, _, err := owner.Issue(Order{Name: "bob", Planes: User, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	other := ID{Issuer: strings.Repeat("4f", 32), Serial: "7"}
	_, err1 := owner.Registry().Revoke("bob")
	_, err2 := owner.Registry().RevokeID(other)
	_, err3 := owner.Registry().Revoke("deadbeef")
	lines, err4 := owner.Revoked()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	if want := []string{mine.Serial, "7 " + other.Issuer, "deadbeef"}; !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
	b := openBox(t, writeBox(t, id.Files(owner, lines)), t.TempDir())
	entries, err := b.Registry().Entries()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[ID]bool)
	for _, e := range entries {
		got[e.ID()] = !e.Revoked.IsZero()
	}
	if want := map[ID]bool{{Serial: mine.Serial}: true, other: true, {Serial: "deadbeef"}: true}; !maps.Equal(got, want) {
		t.Errorf("the box has %v, want %v", got, want)
	}
}

func TestOpenBoxErrors(t *testing.T) {
	owner, id, _ := newBox(t, "tses-1a2b")
	_, other, _ := newBox(t, "tses-1a2b")
	for name, spoil := range map[string]func(map[string]string){
		"no name":             func(f map[string]string) { f[boxNameFile] = "\n" },
		"no owner":            func(f map[string]string) { delete(f, boxOwnerFile) },
		"owner is no PEM":     func(f map[string]string) { f[boxOwnerFile] = "x" },
		"key of another box":  func(f map[string]string) { f[boxKeyFile] = string(other.KeyPEM) },
		"CA of another owner": func(f map[string]string) { f[boxCAFile], f[boxKeyFile] = string(other.CertPEM), string(other.KeyPEM) },
	} {
		files := id.Files(owner, nil)
		spoil(files)
		if _, err := OpenBox(writeBox(t, files), t.TempDir()); err == nil || !strings.Contains(err.Error(), "SD card") {
			t.Errorf("%s: %v, want an error that says what to do", name, err)
		}
	}
}

// Clients are not all written in Go.
func TestBoxWithOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		needs.Missing(t, "needs openssl")
	}
	owner, _, dir := newBox(t, "tses-1a2b", "lab.example")
	b := openBox(t, dir, t.TempDir())
	leaf := func(tmpl x509.Certificate) string {
		cert, _, err := b.ca.sign(&tmpl, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "leaf.pem")
		if err := os.WriteFile(path, encodeCert(cert.Raw), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, tt := range []struct {
		tmpl          x509.Certificate
		purpose, name string
		good          bool
	}{
		{x509.Certificate{DNSNames: b.Names(), ExtKeyUsage: server}, "sslserver", "tses-1a2b.local", true},
		{x509.Certificate{DNSNames: b.Names(), ExtKeyUsage: server}, "sslserver", "lab.example", true},
		{x509.Certificate{DNSNames: []string{"tses-ffff.local"}, ExtKeyUsage: server}, "sslserver", "tses-ffff.local", false},
		{x509.Certificate{DNSNames: []string{"tses-ffff.lab.example"}, ExtKeyUsage: server}, "sslserver", "tses-ffff.lab.example", false},
		{x509.Certificate{DNSNames: b.Names(), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, "sslclient", "tses-1a2b.local", false},
	} {
		out, err := exec.Command(openssl, "verify", "-CAfile", owner.CertificatePath(), "-untrusted", filepath.Join(dir, boxCAFile),
			"-purpose", tt.purpose, "-verify_hostname", tt.name, leaf(tt.tmpl)).CombinedOutput()
		if (err == nil) != tt.good {
			t.Errorf("%s for %s: openssl says %v, want good %v\n%s", tt.purpose, tt.name, err, tt.good, out)
		}
	}
}
