package access

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// Plane is a set of the planes of the CoSE draft.
type Plane uint8

// The planes. A credential can have both.
const (
	User           Plane = 1 << iota // use the applications of an SE
	Administrative                   // manage them (GlobalPlatform)
)

// The names of the planes in a certificate's OU and on the command line.
const (
	userName           = "user"
	administrativeName = "administrator"
)

// ParsePlanes reads "user", "administrator" or both with a comma between.
func ParsePlanes(s string) (Plane, error) {
	var p Plane
	for name := range strings.SplitSeq(s, ",") {
		switch name {
		case userName:
			p |= User
		case administrativeName:
			p |= Administrative
		default:
			return 0, fmt.Errorf("plane %q: the planes are %s and %s", name, userName, administrativeName)
		}
	}
	return p, nil
}

// Names lists the planes as they stand in a certificate's OU.
func (p Plane) Names() []string {
	var names []string
	if p&User != 0 {
		names = append(names, userName)
	}
	if p&Administrative != 0 {
		names = append(names, administrativeName)
	}
	return names
}

// String is "user", "administrator", or both with a comma between.
func (p Plane) String() string { return strings.Join(p.Names(), ",") }

// Credential is who has come in, and what they may do: what their certificate
// says, within what its CA can give and what the rules say of them.
type Credential struct {
	Name     string   // subject CN
	Issuer   string   // [KeyID] of the CA that signed it; "" where that is not known
	Serial   string   // lower-case hex digits
	Planes   Plane    // from the subject's OUs
	SEs      []string // globs over SEIDs; nil: all
	NotAfter time.Time
	Chain    []ID   // of its certificate and of those of the CAs above it, the trusted one last
	CA       string // the name of a further CA that it has come by; "" for the TSES's own

	within [][]string // what narrows SEs further: an SE has to be in each of them
}

// ID is what tells the credential from all others, those of other CAs with the
// same name or serial number too.
func (c *Credential) ID() ID { return ID{Issuer: c.Issuer, Serial: c.Serial} }

// MaySee tells whether an SE exists for the credential: its own globs, those of
// its CA and those of the rules that speak of it all allow the SEID.
func (c *Credential) MaySee(seid string) bool {
	if c.SEs != nil && !matchAny(c.SEs, seid) {
		return false
	}
	for _, globs := range c.within {
		if !matchAny(globs, seid) {
			return false
		}
	}
	return true
}

// String names the credential in errors.
func (c *Credential) String() string {
	if c.CA == "" {
		return fmt.Sprintf("credential %q, serial %s", c.Name, c.Serial)
	}
	return fmt.Sprintf("credential %q of %s, serial %s", c.Name, c.CA, c.Serial)
}

// seURN is how a certificate names SEs: a URI among the subject's alternative
// names, "urn:tses:se:sim*". A certificate without one names all SEs.
const (
	seNamespace = "tses"
	seURN       = seNamespace + ":se:"
)

// ErrNoPlane says that neither a certificate nor a rule names a plane that its CA
// can give, so that its holder may do nothing.
var ErrNoPlane = errors.New("it has no plane: its subject needs an OU user or administrator, or an [[access.rule]] has to give it one, within what its CA can give")

// FromCertificate reads the attributes of an access credential: the name (CN),
// the planes (OU user, OU administrator; others count for nothing) and the SEIDs
// (URIs urn:tses:se:GLOB). It does not verify the certificate. A name or URI that
// is not understood is [ErrName].
//
// A URI with an authority, such as https://example.org/ or spiffe://lab/x, says
// something to others and nothing here. All other URIs have to be of the form
// above: one that is misspelt was meant to narrow what the credential may see.
func FromCertificate(cert *x509.Certificate) (*Credential, error) {
	c := &Credential{
		Name:     cert.Subject.CommonName,
		Serial:   SerialString(cert),
		NotAfter: cert.NotAfter,
	}
	for _, ou := range cert.Subject.OrganizationalUnit {
		switch ou {
		case userName:
			c.Planes |= User
		case administrativeName:
			c.Planes |= Administrative
		}
	}
	if err := c.readNames(cert); err != nil {
		return nil, fmt.Errorf("credential %.80q, serial %s: %w: %w", c.Name, c.Serial, ErrName, err)
	}
	return c, nil
}

// readNames reads the SEs that a certificate names.
func (c *Credential) readNames(cert *x509.Certificate) error {
	if err := checkName(c.Name); err != nil {
		return err
	}
	for _, uri := range cert.URIs {
		glob, ok, err := globOf(uri)
		if err != nil {
			return fmt.Errorf("URI %.80q: %w", uri, err)
		}
		if ok {
			c.SEs = append(c.SEs, glob)
		}
	}
	// No DNS name and no address has a colon in it.
	for _, name := range slices.Concat(cert.DNSNames, cert.EmailAddresses) {
		if strings.Contains(name, ":") {
			return fmt.Errorf("%.80q: SEs are named by a subject alternative name of the kind URI", name)
		}
	}
	return nil
}

var errForm = errors.New("want urn:tses:se:GLOB, the SEs that the credential may see")

// globOf reads the glob of a URI urn:tses:se:GLOB. ok is false for a URI that
// says nothing of SEs.
func globOf(uri *url.URL) (glob string, ok bool, err error) {
	if foreignURI(uri) {
		return "", false, nil
	}
	namespace, _, _ := strings.Cut(uri.Opaque, ":")
	if uri.Scheme != "urn" || !strings.EqualFold(namespace, seNamespace) { // RFC 8141, 3.1
		return "", false, errForm
	}
	glob, ok = strings.CutPrefix(uri.Opaque[len(namespace):], ":se:")
	if !ok {
		return "", false, errForm
	}
	if uri.RawQuery != "" || uri.ForceQuery || uri.Fragment != "" {
		return "", false, errors.New("'?' and '#' have to be written %3F and %23")
	}
	if glob, err = url.PathUnescape(glob); err != nil {
		return "", false, err
	}
	return glob, true, CheckGlob(glob)
}

// foreignURI tells whether a URI is plainly of something else: it has an
// authority, and no scheme of ours.
func foreignURI(uri *url.URL) bool {
	return uri.Host != "" && uri.Scheme != "" && !strings.HasPrefix(uri.Scheme, "urn") && !strings.HasPrefix(uri.Scheme, seNamespace)
}

// SerialString is a certificate's serial number as it is shown and revoked:
// in lower-case hex digits.
func SerialString(cert *x509.Certificate) string { return fmt.Sprintf("%x", cert.SerialNumber) }

// seURI is the URI that names SEs by a glob.
func seURI(glob string) *url.URL {
	return &url.URL{Scheme: "urn", Opaque: seURN + url.PathEscape(glob)}
}

// CheckGlob tells why a glob over SEIDs cannot be one. '*' stands for any
// characters, '?' for one, [a-z] for one of a range.
func CheckGlob(glob string) error {
	if _, err := path.Match(glob, ""); err != nil || glob == "" {
		return fmt.Errorf("SEID glob %q: want a SEID with *, ? or [a-z] in it", glob)
	}
	return nil
}

func checkGlobs(globs []string) error {
	for _, glob := range globs {
		if err := CheckGlob(glob); err != nil {
			return err
		}
	}
	return nil
}

// matchAny tells whether one of the globs, which have been checked, matches.
func matchAny(globs []string, seid string) bool {
	for _, glob := range globs {
		if ok, err := path.Match(glob, seid); ok && err == nil {
			return true
		}
	}
	return false
}
