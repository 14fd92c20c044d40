package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
)

const (
	caFile     = "ca.pem"
	caKeyFile  = "ca.key"
	serverFile = "server.pem"

	caLife     = 30 * 365 * 24 * time.Hour
	serverLife = 2 * 365 * 24 * time.Hour
	renewAhead = 30 * 24 * time.Hour // a server certificate with less left is replaced
	backdate   = time.Hour           // a client's clock may be behind

	maxPEM = 1 << 20 // bytes of a file of certificates and keys
)

// Authority is the CA of one TSES, in its state directory. Its key may be kept
// elsewhere: what has to be signed fails with [ErrNoKey] then.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer // nil: elsewhere
}

// ErrNoKey says that something has to be signed by a CA whose key is not here.
var ErrNoKey = errors.New("the CA's key is not here")

// ErrNoAuthority says that a state directory holds no CA yet.
var ErrNoAuthority = errors.New("no CA here yet")

// ErrAuthority says that a state directory holds a CA already.
var ErrAuthority = errors.New("there is a CA here already")

// CreateAuthority makes a new CA (ECDSA P-256) and an empty registry in a
// state directory. It never replaces a CA: where there is one it fails with
// [ErrAuthority], and a key that is there without its certificate, as after a
// power cut, gets a certificate under which what it has signed stays good.
func CreateAuthority(dir string) (*Authority, error) { return createAuthority(dir, 0) }

// createAuthority makes a CA with so many CAs at most below it.
func createAuthority(dir string, pathLen int) (*Authority, error) {
	if _, err := os.Lstat(filepath.Join(dir, caFile)); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, ErrAuthority), err)
	}
	// The certificate comes last: only when it is there, the CA is.
	key, err := authorityKey(dir)
	if err != nil {
		return nil, fmt.Errorf("CA key: %w", err)
	}
	der, err := selfSigned(key, pathLen)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	if err := statefile.Write(filepath.Join(dir, caFile), encodeCert(der), 0o644); err != nil {
		return nil, err
	}
	return OpenAuthority(dir)
}

// authorityKey reads the CA's key or makes it, and before it the registry: one
// that is missing beside a key was lost, and its revocations with it.
func authorityKey(dir string) (crypto.Signer, error) {
	path := filepath.Join(dir, caKeyFile)
	text, err := statefile.Secret(maxPEM).Read(path)
	switch {
	case err == nil:
		defer clear(text)
		key, err := decodeKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; restore it from a copy, or begin with a new state directory", path, err)
		}
		return key, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := (&Registry{path: filepath.Join(dir, registryFile)}).create(); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if text, err = encodeKey(key); err != nil {
		return nil, err
	}
	defer clear(text)
	return key, statefile.Write(path, text, 0o600)
}

// selfSigned makes a CA certificate. Its subject is that of the key, so that
// another one for the same key stands in for it.
func selfSigned(key crypto.Signer, pathLen int) ([]byte, error) {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(public)
	tmpl := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("TSES CA %x", id[:4])},
		NotBefore:             time.Now().Add(-backdate),
		NotAfter:              time.Now().Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            pathLen,
		MaxPathLenZero:        pathLen == 0,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
}

// OpenAuthority opens the CA of a state directory. It fails with
// [ErrNoAuthority] where there is none. The key that is made beside the
// certificate may be kept elsewhere, see [Authority.TakeKey].
func OpenAuthority(dir string) (*Authority, error) {
	certPEM, err := statefile.Kept(maxPEM).Read(filepath.Join(dir, caFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoAuthority)
	}
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	cert, err := decodeCert(certPEM)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %s: %w; restore it from a copy", filepath.Join(dir, caFile), err)
	}
	a := &Authority{dir: dir, cert: cert}
	if err := a.takeKey(filepath.Join(dir, caKeyFile), statefile.Secret(maxPEM)); !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	return a, nil
}

// TakeKey reads the CA's key from a file elsewhere. That may be a link, and
// nobody else may be able to read it.
func (a *Authority) TakeKey(file string) error {
	return a.takeKey(file, statefile.Secret(maxPEM).Linked())
}

func (a *Authority) takeKey(file string, rule statefile.Rule) error {
	text, err := rule.Read(file)
	if err != nil {
		return fmt.Errorf("CA key: %w", err)
	}
	defer clear(text)
	key, err := decodeKey(text)
	if err != nil {
		return fmt.Errorf("CA key: %s: %w; restore it from a copy, or begin with a new state directory", file, err)
	}
	public, ok := a.cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return fmt.Errorf("CA key: %s is not the private key of %s; restore it from a copy", file, a.CertificatePath())
	}
	a.key = key
	return nil
}

// HasKey tells whether the CA can sign. [Authority.KeyPath] is where its key is
// looked for.
func (a *Authority) HasKey() bool { return a.key != nil }

// KeyPath is the file of the CA's key, which may be elsewhere.
func (a *Authority) KeyPath() string { return filepath.Join(a.dir, caKeyFile) }

func (a *Authority) noKey() error {
	return fmt.Errorf("%w: %s is not there; say with -ca-key FILE where it is kept", ErrNoKey, a.KeyPath())
}

// Certificate is the CA's own.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// CertificatePath is the file that clients trust.
func (a *Authority) CertificatePath() string { return filepath.Join(a.dir, caFile) }

// Registry is the list of what this CA issued and what is revoked.
func (a *Authority) Registry() *Registry {
	return &Registry{path: filepath.Join(a.dir, registryFile)}
}

// Order says what credential is wanted.
type Order struct {
	Name   string // 1 to 64 printable characters
	Planes Plane
	SEs    []string // globs over SEIDs; nil: all
	Life   time.Duration
}

// Issue makes a credential with a key of its own (ECDSA P-256), enters it in
// the registry and returns certificate and key in one PEM.
func (a *Authority) Issue(o Order) (c *Credential, credentialPEM []byte, err error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	tmpl := &x509.Certificate{
		Subject:     pkix.Name{CommonName: o.Name, OrganizationalUnit: o.Planes.Names()},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, glob := range o.SEs {
		tmpl.URIs = append(tmpl.URIs, seURI(glob))
	}
	cert, credentialPEM, err := a.sign(tmpl, o.Life)
	if err != nil {
		return nil, nil, fmt.Errorf("credential %q: %w", o.Name, err)
	}
	if c, err = FromCertificate(cert); err != nil {
		return nil, nil, err
	}
	c.Issuer = KeyID(a.cert)
	// What is not in the registry could not be revoked by its name.
	if err := a.Registry().add(c); err != nil {
		clear(credentialPEM)
		return nil, nil, fmt.Errorf("credential %q: %w", o.Name, err)
	}
	return c, credentialPEM, nil
}

func (o Order) check() error {
	if len(o.Name) == 0 || len(o.Name) > 64 {
		return fmt.Errorf("credential name %.70q: want 1 to 64 bytes", o.Name)
	}
	for _, r := range o.Name {
		if r <= ' ' || r == 0x7F || r == 0xFFFD {
			return fmt.Errorf("credential name %q: no spaces and control characters, please", o.Name)
		}
	}
	if o.Planes == 0 {
		return fmt.Errorf("credential %q: %w", o.Name, ErrNoPlane)
	}
	if o.Life <= 0 {
		return fmt.Errorf("credential %q: a life of %v is none", o.Name, o.Life)
	}
	return checkGlobs(o.SEs)
}

// sign completes the template, whose validity begins now unless it says
// otherwise, and returns the certificate, and it and its new
// key as PEM.
func (a *Authority) sign(tmpl *x509.Certificate, life time.Duration) (*x509.Certificate, []byte, error) {
	if a.key == nil {
		return nil, nil, a.noKey()
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	tmpl.SerialNumber = newSerial()
	if tmpl.NotBefore.IsZero() {
		tmpl.NotBefore = time.Now().Add(-backdate)
	}
	tmpl.NotAfter = tmpl.NotBefore.Add(backdate + life)
	if tmpl.NotAfter.After(a.cert.NotAfter) {
		tmpl.NotAfter = a.cert.NotAfter
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := encodeKey(key)
	return cert, append(encodeCert(der), keyPEM...), err
}

// newSerial is a random serial number of 16 bytes, which RFC 5280, 4.1.2.2, allows.
func newSerial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails: crypto/rand ends the process where it would
	b[0] = b[0]&0x7F | 0x40
	return new(big.Int).SetBytes(b)
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

func decodeCert(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no PEM file with a CERTIFICATE")
	}
	return x509.ParseCertificate(block.Bytes)
}

const keyBlock = "PRIVATE KEY" // RFC 5958, PKCS #8

// decodeKey is the inverse of encodeKey.
func decodeKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyBlock {
		return nil, errors.New("no PEM file with a PRIVATE KEY")
	}
	defer clear(block.Bytes)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}
