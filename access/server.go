package access

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// ServerCertificatePath is the file of the server's certificate and key.
func (a *Authority) ServerCertificatePath() string { return filepath.Join(a.dir, serverFile) }

// ServerCertificate returns the server's certificate for the names (DNS names
// and IP addresses). The one in the state directory is kept while it covers
// them and has a month left; else a new one is made. Where the CA's key is
// elsewhere the old one has to do as long as it is valid at all, and
// [Authority.Lacks] tells what it lacks; without one it fails with [ErrNoKey].
func (a *Authority) ServerCertificate(names []string) (*tls.Certificate, error) {
	if len(names) == 0 {
		return nil, errors.New("server certificate: it needs a name that clients reach the server by")
	}
	pair, err := readPair(a.ServerCertificatePath())
	switch {
	case err == nil && a.Lacks(pair.Leaf, names) == nil:
		return &pair, nil
	case err == nil && a.key == nil && a.valid(pair.Leaf) == nil:
		return &pair, nil
	case err == nil && a.key == nil:
		return nil, fmt.Errorf("server certificate: %s: %w, and %w", a.ServerCertificatePath(), a.valid(pair.Leaf), a.noKey())
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errPair):
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	return a.NewServerCertificate(names)
}

// NewServerCertificate makes the server a certificate, with a key of its own,
// whatever there is.
func (a *Authority) NewServerCertificate(names []string) (*tls.Certificate, error) {
	tmpl := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "TSES " + names[0]},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, name)
		}
	}
	_, both, err := a.sign(tmpl, serverLife)
	defer clear(both)
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	if err := statefile.Write(a.ServerCertificatePath(), both, 0o600); err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(both, both)
	return &pair, err
}

// ServerNames are the names that the server's certificate is for, none where
// there is no certificate yet.
func (a *Authority) ServerNames() ([]string, error) {
	pair, err := readPair(a.ServerCertificatePath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	names := slices.Clone(pair.Leaf.DNSNames)
	for _, ip := range pair.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names, nil
}

// Lacks tells what keeps a server certificate from serving for a while: it is
// not of this CA, not for all of the names, or has less than a month left.
func (a *Authority) Lacks(cert *x509.Certificate, names []string) error {
	if err := a.valid(cert); err != nil {
		return err
	}
	var missing []string
	for _, name := range names {
		if cert.VerifyHostname(name) != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the server's certificate is not for %s", strings.Join(missing, ", "))
	}
	if left := time.Until(cert.NotAfter); left <= renewAhead {
		return fmt.Errorf("the server's certificate expires in %d days, on %s", int(left.Hours()/24), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// valid tells what keeps everybody from taking a server certificate.
func (a *Authority) valid(cert *x509.Certificate) error {
	if err := cert.CheckSignatureFrom(a.cert); err != nil {
		return fmt.Errorf("the server's certificate is not of this CA: %w", err)
	}
	if time.Now().After(cert.NotAfter) {
		return fmt.Errorf("the server's certificate expired on %s", cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// errPair says that a file holds no certificate with its key.
var errPair = errors.New("no certificate with its key")

// readPair reads a certificate and its key from one file.
func readPair(path string) (tls.Certificate, error) {
	text, err := statefile.Secret(maxPEM).Read(path)
	if err != nil {
		return tls.Certificate{}, err
	}
	defer clear(text)
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return pair, fmt.Errorf("%s: %w: %w", path, errPair, err)
	}
	return pair, nil
}
