package access

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// A box is a TSES whose owner's CA is elsewhere: with the person who made its
// SD card. It carries a CA of its own, the box CA, which the owner's has signed
// and which is good for nothing but server certificates in the box's names. So
// the box can make its server key itself, and what is on its card can stand for
// no other box and let nobody in, not even into itself.
//
// The files of a box that its card brings, in one directory:
const (
	boxNameFile    = "name"         // "tses-1a2b", and further DNS names, one a line
	boxOwnerFile   = "owner-ca.pem" // the owner's CA, whose credentials are let in
	boxCAFile      = "box-ca.pem"
	boxKeyFile     = "box-ca.key"
	boxRevokedFile = "revoked" // what was revoked when the card was made, a serial number a line; behind it the issuer's KeyID where it is of another CA than the owner's
)

// CreateOwner is [CreateAuthority] for the CA of an owner of boxes: it may sign
// the CAs of boxes too.
func CreateOwner(dir string) (*Authority, error) { return createAuthority(dir, 1) }

// BoxIdentity is what an owner gives a box besides their trust.
type BoxIdentity struct {
	Names   []string // DNS names; the first is the box's own, as CheckBoxName has it
	CertPEM []byte   // the box CA's certificate
	KeyPEM  []byte   // and its key, which only the box has to have
}

// boxName is a host name that a box can have in its local network.
var boxName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

// CheckBoxName tells why a name cannot be that of a box: it is the first label
// of its name in the local network, NAME.local.
func CheckBoxName(name string) error {
	if !boxName.MatchString(name) {
		return fmt.Errorf("box name %.60q: want 1 to 40 lower-case letters, digits and '-', the first a letter", name)
	}
	return nil
}

// IssueBox makes a box CA (ECDSA P-256) for the box's name, that name in the
// domain local, and further DNS names. An old identity's key is used again, so
// that the box can be given other names. X.509 name constraints (RFC 5280,
// 4.2.1.10) keep the box CA to these names and from all IP addresses, the
// extended key usage keeps it to server certificates.
func (a *Authority) IssueBox(name string, more []string, old *BoxIdentity) (*BoxIdentity, error) {
	names, err := BoxNames(name, more)
	if err != nil {
		return nil, err
	}
	if a.key == nil {
		return nil, fmt.Errorf("box %s: %w", name, a.noKey())
	}
	if a.cert.MaxPathLen < 1 {
		return nil, fmt.Errorf("box %s: the CA in %s may not sign that of a box; begin a directory for an owner of boxes", name, a.dir)
	}
	var key crypto.Signer
	if old != nil {
		key, err = decodeKey(old.KeyPEM)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("box %s: key: %w", name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, boxTemplate(names, a.cert), a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("box %s: certificate: %w", name, err)
	}
	if err := a.probe(names, der, key); err != nil {
		return nil, fmt.Errorf("box %s: its CA could sign nothing that clients take: %w; choose other names", name, err)
	}
	keyPEM, err := encodeKey(key)
	return &BoxIdentity{Names: names, CertPEM: encodeCert(der), KeyPEM: keyPEM}, err
}

// probe signs a server certificate with a new box CA and judges it as clients
// will: what is wrong with the names, whatever it is, is found where the card is
// made, and not where the box cannot be reached any more.
func (a *Authority) probe(names []string, der []byte, key crypto.Signer) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	leaf, both, err := (&Authority{cert: cert, key: key}).sign(serverTemplate(names, cert), caLife)
	clear(both)
	if err != nil {
		return err
	}
	return checkServer(leaf, cert, a.cert, names)
}

// BoxNames are the DNS names of a box: its own, that in the domain local, and
// more. There are no IP addresses among them: those of a box change. None is
// below another: a box CA may not sign what is below its names, and a subtree
// that is excluded counts for more than one that is permitted (RFC 5280,
// 4.2.1.10), so that no name at all would be good.
func BoxNames(name string, more []string) ([]string, error) {
	if err := CheckBoxName(name); err != nil {
		return nil, err
	}
	names := []string{name, name + ".local"}
	for _, dns := range more {
		dns = strings.ToLower(dns)
		if net.ParseIP(dns) != nil || !dnsName.MatchString(dns) {
			return nil, fmt.Errorf("box %s: %.80q is no DNS name; clients that know an IP address alone say which box they want by its name", name, dns)
		}
		if slices.Contains(names, dns) {
			continue
		}
		for _, other := range names {
			if below(dns, other) || below(other, dns) {
				return nil, fmt.Errorf("box %s: of the names %s and %s one is below the other, and a box may have none below its own; leave one of the two out", name, other, dns)
			}
		}
		names = append(names, dns)
	}
	return names, nil
}

// below tells whether a DNS name is in the domain of another.
func below(name, domain string) bool { return strings.HasSuffix(name, "."+domain) }

var dnsName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// boxTemplate is the certificate of a box CA. It lives as long as the owner's:
// a box may be somewhere without a clock for years, and losing a card is
// answered by taking its name from it, not by waiting.
func boxTemplate(names []string, owner *x509.Certificate) *x509.Certificate {
	everyIP := []*net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
		{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	}
	// What is below a permitted name is permitted too, RFC 5280 says: with
	// names = ["example.org"] that would be the boxes of others.
	var domains []string
	for _, name := range names {
		domains = append(domains, "."+name)
	}
	return &x509.Certificate{
		SerialNumber:                newSerial(),
		Subject:                     pkix.Name{CommonName: "TSES box " + names[0]},
		NotBefore:                   owner.NotBefore,
		NotAfter:                    owner.NotAfter,
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         names,
		ExcludedDNSDomains:          domains,
		ExcludedIPRanges:            everyIP,
	}
}

// Revoked is what the CA has revoked so far, and those of others that it refuses,
// as [BoxIdentity.Files] tells a box.
func (a *Authority) Revoked() (lines []string, err error) {
	entries, err := a.Registry().Entries()
	own := KeyID(a.cert)
	for _, e := range entries {
		switch {
		case e.Revoked.IsZero():
		case e.Issuer == "" || e.Issuer == own:
			// Older boxes, to which a failed update may go back, know no issuers
			// in their registry. The owner's numbers are like no others.
			lines = append(lines, e.Serial)
		default:
			lines = append(lines, e.Serial+" "+e.Issuer)
		}
	}
	return lines, err
}

// Files are the files of a box that its card brings, by name. revoked is what
// [Authority.Revoked] has told.
func (b *BoxIdentity) Files(owner *Authority, revoked []string) map[string]string {
	return map[string]string{
		boxNameFile:    strings.Join(b.Names, "\n") + "\n",
		boxOwnerFile:   string(encodeCert(owner.cert.Raw)),
		boxCAFile:      string(b.CertPEM),
		boxKeyFile:     string(b.KeyPEM),
		boxRevokedFile: strings.Join(append(revoked, ""), "\n"),
	}
}

// Box is the box that this TSES is.
type Box struct {
	owner *x509.Certificate
	names []string
	ca    Authority // its dir is the state directory
}

// OpenBox reads the files of a box and, on its first run, makes the registry
// in its state directory. What the owner had revoked when the card was made is
// revoked. A registry that was there and cannot be read is [ErrRegistry], and
// [RenewRegistry] what is left to do.
func OpenBox(dir, state string) (*Box, error) {
	b, err := readBox(dir, state)
	if err != nil {
		return nil, fmt.Errorf("box in %s: %w; make the SD card again", dir, err)
	}
	registry := b.Registry()
	// Without a server certificate nobody was ever let in, and nothing revoked.
	if _, err := os.Lstat(filepath.Join(state, serverFile)); errors.Is(err, fs.ErrNotExist) {
		if err := registry.create(); err != nil {
			return nil, err
		}
	}
	if _, err := registry.Entries(); err != nil {
		return nil, err
	}
	revoked, err := statefile.Kept(maxPEM).Read(filepath.Join(dir, boxRevokedFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(revoked)) {
		serial, issuer, foreign := strings.Cut(strings.TrimSpace(line), " ")
		if foreign {
			_, err = registry.RevokeID(ID{Serial: serial, Issuer: issuer})
		} else {
			_, err = registry.Revoke(serial)
		}
		if err != nil && !errors.Is(err, ErrNoCredential) {
			return nil, err
		}
	}
	return b, nil
}

func readBox(dir, state string) (*Box, error) {
	var files [4][]byte
	for i, name := range []string{boxNameFile, boxOwnerFile, boxCAFile, boxKeyFile} {
		var err error
		if files[i], err = statefile.Kept(maxPEM).Read(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	defer clear(files[3])
	b := &Box{names: strings.Fields(string(files[0]))}
	if len(b.names) == 0 {
		return nil, fmt.Errorf("%s holds no name", boxNameFile)
	}
	owner, err := decodeCert(files[1])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", boxOwnerFile, err)
	}
	pair, err := tls.X509KeyPair(files[2], files[3])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", boxCAFile, boxKeyFile, err)
	}
	if err := pair.Leaf.CheckSignatureFrom(owner); err != nil {
		return nil, fmt.Errorf("%s is not signed by %s: %w", boxCAFile, boxOwnerFile, err)
	}
	b.owner = owner
	b.ca = Authority{dir: state, cert: pair.Leaf, key: pair.PrivateKey.(crypto.Signer)}
	return b, nil
}

// Names are the DNS names of the box, its own first.
func (b *Box) Names() []string { return slices.Clone(b.names) }

// Certificate is that of the CA whose credentials are let in, the owner's.
func (b *Box) Certificate() *x509.Certificate { return b.owner }

// Registry is the list of what is revoked.
func (b *Box) Registry() *Registry { return b.ca.Registry() }

// ServerCertificate returns the box's server certificate for its names, with
// the box CA's behind it. On the first run the box makes key and certificate,
// and makes others where the ones that are there are not for just the names that
// its card gives it: names come and go with updates, and a certificate that has
// one more than the box CA is permitted is good for none of them. It is valid as
// long as the box CA: the box's clock plays no part in it.
func (b *Box) ServerCertificate() (*tls.Certificate, error) {
	path := filepath.Join(b.ca.dir, serverFile)
	pair, err := readPair(path)
	if err != nil || checkServer(pair.Leaf, b.ca.cert, b.owner, b.names) != nil {
		if pair, err = b.newServerCertificate(path); err != nil {
			return nil, fmt.Errorf("server certificate: %w", err)
		}
	}
	pair.Certificate = append(pair.Certificate, b.ca.cert.Raw)
	return &pair, nil
}

func (b *Box) newServerCertificate(path string) (tls.Certificate, error) {
	leaf, both, err := b.ca.sign(serverTemplate(b.names, b.ca.cert), caLife)
	defer clear(both)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := checkServer(leaf, b.ca.cert, b.owner, b.names); err != nil {
		return tls.Certificate{}, fmt.Errorf("%s is not for the names in %s: %w; make the SD card again", boxCAFile, boxNameFile, err)
	}
	if err := statefile.Write(path, both, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(both, both)
}

// serverTemplate is the server certificate of a box.
func serverTemplate(names []string, ca *x509.Certificate) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: "TSES " + names[0]},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    names,
		NotBefore:   ca.NotBefore,
	}
}

// errNames says that a server certificate is for others than it has to be for.
var errNames = errors.New("not for the names of the box")

// checkServer tells what keeps clients that trust the owner alone from taking a
// box's server certificate, for any of its names.
func checkServer(leaf, ca, owner *x509.Certificate, names []string) error {
	if !slices.Equal(leaf.DNSNames, names) {
		return fmt.Errorf("%w: it is for %s", errNames, strings.Join(leaf.DNSNames, ", "))
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(owner)
	between.AddCert(ca)
	for _, name := range names {
		_, err := leaf.Verify(x509.VerifyOptions{
			DNSName: name, Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			CurrentTime: leaf.NotBefore, // a box may not know the time
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckChain tells what keeps clients that trust the owner alone from taking the
// chain that a server shows for that of this box.
func (b *Box) CheckChain(chain [][]byte) error {
	if len(chain) != 2 {
		return fmt.Errorf("a chain of %d certificates, want the box's and its CA's", len(chain))
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	ca, err := x509.ParseCertificate(chain[1])
	if err != nil {
		return err
	}
	return checkServer(leaf, ca, b.owner, b.names)
}

// SameBox tells whether an identity is already the one that IssueBox would
// make, but for chance.
func (a *Authority) SameBox(b *BoxIdentity, name string, more []string) bool {
	names, err := BoxNames(name, more)
	if err != nil || !slices.Equal(names, b.Names) {
		return false
	}
	cert, err := decodeCert(b.CertPEM)
	// What it says of its names may be older than its certificate, or newer.
	if err != nil || cert.CheckSignatureFrom(a.cert) != nil || !slices.Equal(names, cert.PermittedDNSDomains) {
		return false
	}
	key, err := decodeKey(b.KeyPEM)
	if err != nil {
		return false
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	return err == nil && bytes.Equal(public, cert.RawSubjectPublicKeyInfo)
}
