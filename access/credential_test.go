package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloud-of-se/tses/access"
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
		{"no plane", nil, nil, 0, nil, "names no plane"},
		{"another case is no plane", []string{"User", "admin"}, nil, 0, nil, "names no plane"},
		{"one glob", user, []string{"urn:tses:se:sim1"}, access.User, []string{"sim1"}, ""},
		{"several", user, []string{"urn:tses:se:sim%2A", "urn:tses:se:a", "https://example.org/"}, access.User, []string{"sim*", "a"}, ""},
		{"unescaped star", user, []string{"urn:tses:se:sim*"}, access.User, []string{"sim*"}, ""},
		{"escaped range", user, []string{"urn:tses:se:%5Bab%5D%3F"}, access.User, []string{"[ab]?"}, ""},
		{"namespace in another case", user, []string{"URN:TSES:se:sim1"}, access.User, []string{"sim1"}, ""},
		{"URIs of others", user, []string{"urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "tses:se:x", "spiffe://tses/se"}, access.User, nil, ""},
		{"malformed glob", user, []string{"urn:tses:se:sim%5B"}, 0, nil, `glob "sim["`},
		{"malformed behind", user, []string{"urn:tses:se:sim1", "urn:tses:se:a%5Bb"}, 0, nil, "want a SEID"},
		{"empty glob", user, []string{"urn:tses:se:"}, 0, nil, "want a SEID"},
		{"question mark", user, []string{"urn:tses:se:sim?"}, 0, nil, "%3F"},
		{"query", user, []string{"urn:tses:se:sim?x"}, 0, nil, "%3F"},
		{"fragment", user, []string{"urn:tses:se:sim#x"}, 0, nil, "%23"},
		{"not understood", user, []string{"urn:tses:slot:1"}, 0, nil, "nothing else"},
		{"SE in another case", user, []string{"urn:tses:SE:sim1"}, 0, nil, "nothing else"},
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
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	cert, err := certificate(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := access.FromCertificate(cert); !errors.Is(err, access.ErrNoPlane) {
		t.Errorf("no plane: %v, want ErrNoPlane", err)
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

func TestPolicy(t *testing.T) {
	rules := []access.Rule{
		{Name: "bob", SEs: []string{"sim1", "soft*"}},
		{Serial: "00:AB:CD", SEs: []string{"sim2"}},
		{Name: "carol"},
	}
	p, err := access.NewPolicy(rules)
	if err != nil {
		t.Fatal(err)
	}
	rules[0].SEs = nil // the caller's change is not seen
	all := []string{"sim1", "sim2", "soft1", "x"}
	tests := []struct {
		name string
		c    access.Credential
		want []string
	}{
		{"nobody speaks of it", access.Credential{Name: "alice", Serial: "1"}, all},
		{"its own globs", access.Credential{Name: "alice", SEs: []string{"sim?", "[x-z]"}}, []string{"sim1", "sim2", "x"}},
		{"empty globs of its own", access.Credential{Name: "alice", SEs: []string{}}, nil},
		{"by name", access.Credential{Name: "bob", Serial: "1"}, []string{"sim1", "soft1"}},
		{"by serial", access.Credential{Name: "alice", Serial: "abcd"}, []string{"sim2"}},
		{"by both", access.Credential{Name: "bob", Serial: "abcd"}, []string{"sim1", "sim2", "soft1"}},
		{"by rule and its own globs", access.Credential{Name: "bob", SEs: []string{"s*1"}}, []string{"sim1", "soft1"}},
		{"a rule without SEs", access.Credential{Name: "carol"}, nil},
		{"no name is nobody's name", access.Credential{}, all},
	}
	for _, tt := range tests {
		var got []string
		for _, seid := range all {
			if p.MaySee(&tt.c, seid) {
				got = append(got, seid)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: sees %v, want %v", tt.name, got, tt.want)
		}
	}
	if !new(access.Policy).MaySee(&access.Credential{Name: "bob"}, "x") {
		t.Error("the zero policy narrows")
	}
}

func TestBadRules(t *testing.T) {
	for _, tt := range []struct {
		rule access.Rule
		want string
	}{
		{access.Rule{SEs: []string{"a"}}, "either a name or a serial"},
		{access.Rule{Name: "a", Serial: "1"}, "either a name or a serial"},
		{access.Rule{Name: "a", SEs: []string{"a["}}, `glob "a["`},
		{access.Rule{Name: "a", SEs: []string{""}}, `glob ""`},
		{access.Rule{Serial: "bob"}, "hex digits"},
		{access.Rule{Serial: "::"}, "hex digits"},
	} {
		_, err := access.NewPolicy([]access.Rule{{Name: "good"}, tt.rule})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "rule 2") {
			t.Errorf("%+v: %v, want %q in rule 2", tt.rule, err, tt.want)
		}
	}
}

func TestNormalSerial(t *testing.T) {
	for in, want := range map[string]string{"4F:0a": "4f0a", "00ab": "ab", "0": "0", "00:00": "0", "": "", "abc": "abc"} {
		if got := access.NormalSerial(in); got != want {
			t.Errorf("NormalSerial(%q) = %q, want %q", in, got, want)
		}
	}
}
