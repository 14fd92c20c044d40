package access

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"path"
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

// Credential is what an access credential's certificate says of its holder.
type Credential struct {
	Name     string   // subject CN
	Issuer   string   // [KeyID] of the CA that signed it; "" where that is not known
	Serial   string   // lower-case hex digits
	Planes   Plane    // from the subject's OUs
	SEs      []string // globs over SEIDs; nil: all
	NotAfter time.Time
	Chain    []ID // of its certificate and of those of the CAs above it, the trusted one last
}

// ID is what tells the credential from all others, those of other CAs with the
// same name or serial number too.
func (c *Credential) ID() ID { return ID{Issuer: c.Issuer, Serial: c.Serial} }

// seURN is how a certificate names SEs: a URI among the subject's alternative
// names, "urn:tses:se:sim*". A certificate without one may see all SEs.
const (
	seNamespace = "tses"
	seURN       = seNamespace + ":se:"
)

// ErrNoPlane says that a certificate names no plane, so that its holder may
// do nothing.
var ErrNoPlane = errors.New("the certificate names no plane: its subject needs an OU user or administrator")

// FromCertificate reads the attributes of an access credential: the name (CN),
// the planes (OU user, OU administrator) and the SEIDs (URIs urn:tses:se:GLOB).
// It does not verify the certificate.
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
	if c.Planes == 0 {
		return nil, fmt.Errorf("credential %q, serial %s: %w", c.Name, c.Serial, ErrNoPlane)
	}
	for _, uri := range cert.URIs {
		glob, ok, err := globOf(uri)
		if err != nil {
			return nil, fmt.Errorf("credential %q, serial %s: URI %s: %w", c.Name, c.Serial, uri, err)
		}
		if ok {
			c.SEs = append(c.SEs, glob)
		}
	}
	return c, nil
}

// globOf reads the glob of a URI urn:tses:se:GLOB. Other URIs are none of
// ours, but one of the namespace tses that is not understood is an error: it
// was meant to narrow what the credential may see.
func globOf(uri *url.URL) (glob string, ok bool, err error) {
	namespace, _, _ := strings.Cut(uri.Opaque, ":")
	if uri.Scheme != "urn" || !strings.EqualFold(namespace, seNamespace) { // RFC 8141, 3.1
		return "", false, nil
	}
	glob, ok = strings.CutPrefix(uri.Opaque[len(namespace):], ":se:")
	if !ok {
		return "", false, errors.New("the namespace tses has urn:tses:se:GLOB and nothing else")
	}
	if uri.RawQuery != "" || uri.ForceQuery || uri.Fragment != "" {
		return "", false, errors.New("'?' and '#' have to be written %3F and %23")
	}
	if glob, err = url.PathUnescape(glob); err != nil {
		return "", false, err
	}
	return glob, true, CheckGlob(glob)
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

// matchAny tells whether one of the globs, which have been checked, matches.
func matchAny(globs []string, seid string) bool {
	for _, glob := range globs {
		if ok, err := path.Match(glob, seid); ok && err == nil {
			return true
		}
	}
	return false
}
