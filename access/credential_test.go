package access_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/access/accesstest"
)

// certificate makes one with the OUs and URIs given, and parses it.
func certificate(t *testing.T, ous []string, uris ...string) (*x509.Certificate, error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(0x0ABC), NotAfter: time.Unix(2e9, 0),
		Subject: pkix.Name{CommonName: "alice", OrganizationalUnit: ous},
	}
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		tmpl.URIs = append(tmpl.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return x509.ParseCertificate(der)
}

func TestFromCertificate(t *testing.T) {
	user := []string{"user"}
	tests := []struct {
		name   string
		ous    []string
		uris   []string
		planes access.Plane
		ses    []string
		err    string // part of it
	}{
		{"user", user, nil, access.User, nil, ""},
		{"administrator", []string{"administrator"}, nil, access.Administrative, nil, ""},
		{"both, among others", []string{"R&D", "administrator", "user"}, nil, access.User | access.Administrative, nil, ""},
		{"no plane", nil, nil, 0, nil, ""},
		{"another case is no plane", []string{"User", "admin"}, nil, 0, nil, ""},
		{"one glob", user, []string{"urn:tses:se:sim1"}, access.User, []string{"sim1"}, ""},
		{"several", user, []string{"urn:tses:se:sim%2A", "urn:tses:se:a", "https://example.org/"}, access.User, []string{"sim*", "a"}, ""},
		{"unescaped star", user, []string{"urn:tses:se:sim*"}, access.User, []string{"sim*"}, ""},
		{"escaped range", user, []string{"urn:tses:se:%5Bab%5D%3F"}, access.User, []string{"[ab]?"}, ""},
		{"namespace in another case", user, []string{"URN:TSES:se:sim1"}, access.User, []string{"sim1"}, ""},
		{"URIs of others", user, []string{"https://example.org/urn:tses:se:x", "spiffe://tses/se", "ldap://h/cn=x"}, access.User, nil, ""},
		{"another namespace", user, []string{"urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}, 0, nil, "want urn:tses:se:GLOB"},
		{"without urn", user, []string{"tses:se:soft1"}, 0, nil, "want urn:tses:se:GLOB"},
		{"a letter too many", user, []string{"urn:tsesx:se:soft1"}, 0, nil, "want urn:tses:se:GLOB"},
		{"a letter too few", user, []string{"urn:tse:se:soft1"}, 0, nil, "want urn:tses:se:GLOB"},
		{"urn misspelt", user, []string{"unr:tses:se:soft1"}, 0, nil, "want urn:tses:se:GLOB"},
		{"no scheme", user, []string{"soft1"}, 0, nil, "want urn:tses:se:GLOB"},
		{"as an authority", user, []string{"urn://tses/se/soft1"}, 0, nil, "want urn:tses:se:GLOB"},
		{"tses as an authority", user, []string{"tses://se/soft1"}, 0, nil, "want urn:tses:se:GLOB"},
		{"a path alone", user, []string{"file:///tses/se/soft1"}, 0, nil, "want urn:tses:se:GLOB"},
		{"se missing", user, []string{"urn:tses:soft1"}, 0, nil, "want urn:tses:se:GLOB"},
		{"good beside bad", user, []string{"urn:tses:se:soft1", "urn:tses-se:soft2"}, 0, nil, "want urn:tses:se:GLOB"},
		{"malformed glob", user, []string{"urn:tses:se:sim%5B"}, 0, nil, `glob "sim["`},
		{"malformed behind", user, []string{"urn:tses:se:sim1", "urn:tses:se:a%5Bb"}, 0, nil, "want a SEID"},
		{"empty glob", user, []string{"urn:tses:se:"}, 0, nil, "want a SEID"},
		{"question mark", user, []string{"urn:tses:se:sim?"}, 0, nil, "%3F"},
		{"query", user, []string{"urn:tses:se:sim?x"}, 0, nil, "%3F"},
		{"fragment", user, []string{"urn:tses:se:sim#x"}, 0, nil, "%23"},
		{"not understood", user, []string{"urn:tses:slot:1"}, 0, nil, "want urn:tses:se:GLOB"},
		{"SE in another case", user, []string{"urn:tses:SE:sim1"}, 0, nil, "want urn:tses:se:GLOB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert, err := certificate(t, tt.ous, tt.uris...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := access.FromCertificate(cert)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), `"alice", serial abc`) {
					t.Fatalf("%v, want an error with %q that names the credential", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := &access.Credential{Name: "alice", Serial: "abc", Planes: tt.planes, SEs: tt.ses, NotAfter: time.Unix(2e9, 0).UTC()}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(access.Credential{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What cannot be shown and told is refused, and so is what names SEs where they
// cannot be named.
func TestNamesThatAreRefused(t *testing.T) {
	ca := accesstest.New(t, "CA")
	for _, tt := range []struct {
		name string
		is   string
		make accesstest.Change
		want string
	}{
		{"long", strings.Repeat("x", 65), nil, "65 characters"},
		{"a line's end", "bob\nadmin", nil, "control characters"},
		{"C1", "bob\u0085", nil, "control characters"},
		{"a DNS name", "bob", func(c *x509.Certificate, _ *crypto.Signer) { c.DNSNames = []string{"urn:tses:se:soft1"} }, "kind URI"},
		{"an address", "bob", func(c *x509.Certificate, _ *crypto.Signer) { c.EmailAddresses = []string{"tses:se:soft1"} }, "kind URI"},
	} {
		changes := []accesstest.Change{accesstest.Planes("user")}
		if tt.make != nil {
			changes = append(changes, tt.make)
		}
		_, err := access.FromCertificate(ca.Leaf(tt.is, changes...).Cert)
		if !errors.Is(err, access.ErrName) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want ErrName with %q", tt.name, err, tt.want)
		}
	}
	for _, name := range []string{"", "Pascal Urien", strings.Repeat("é", 64)} {
		if c, err := access.FromCertificate(ca.Leaf(name).Cert); err != nil || c.Name != name {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPlanes(t *testing.T) {
	for _, tt := range []struct {
		text string
		want access.Plane
		ok   bool
	}{
		{"user", access.User, true}, {"administrator", access.Administrative, true},
		{"user,administrator", access.User | access.Administrative, true}, {"administrator,user", access.User | access.Administrative, true},
		{"", 0, false}, {"root", 0, false}, {"user,", 0, false}, {"user, administrator", 0, false}, {"User", 0, false},
	} {
		got, err := access.ParsePlanes(tt.text)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParsePlanes(%q) = %v, %v", tt.text, got, err)
		}
	}
	if got := (access.User | access.Administrative).String(); got != "user,administrator" {
		t.Errorf("String = %q", got)
	}
}

func TestNormalSerial(t *testing.T) {
	for in, want := range map[string]string{"4F:0a": "4f0a", "00ab": "ab", "0": "0", "00:00": "0", "": "", "abc": "abc"} {
		if got := access.NormalSerial(in); got != want {
			t.Errorf("NormalSerial(%q) = %q, want %q", in, got, want)
		}
	}
}
