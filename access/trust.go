package access

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
)

// Further is a CA, or several, that a TSES trusts besides its own. Its
// certificates give no more than what stands here, whatever they say.
type Further struct {
	Name         string // of the file, for the log and for errors
	Certificates []*x509.Certificate
	Planes       Plane    // 0: the user plane
	SEs          []string // globs over SEIDs; nil: all
}

// Trust is the CAs whose credentials are let in, and what each can give at most.
type Trust struct {
	grants []grant // the own one first
	byCert map[string]int
	pool   *x509.CertPool
}

// grant is what the credentials below a trusted certificate can have at most.
type grant struct {
	name   string // "" for the own CA
	table  int    // which of the further ones, from 1
	key    string // KeyID
	planes Plane
	ses    []string // nil: all
}

// NewTrust trusts a TSES's own CA, or its owner's, without limits, and further
// ones within theirs. A certificate can stand in one of them only; the own CA in
// none of the others, so that what applies to a credential is never in doubt.
func NewTrust(own *x509.Certificate, further ...Further) (*Trust, error) {
	t := &Trust{byCert: make(map[string]int), pool: x509.NewCertPool()}
	if own != nil {
		t.add(own, grant{planes: User | Administrative})
	}
	for i, f := range further {
		g := grant{table: i + 1, name: f.Name, planes: f.Planes, ses: f.SEs}
		if g.planes == 0 {
			g.planes = User
		}
		if err := checkGlobs(g.ses); err != nil {
			return nil, fmt.Errorf("access.trust: %s: %w", f.Name, err)
		}
		if len(f.Certificates) == 0 {
			return nil, fmt.Errorf("access.trust: %s: %w", f.Name, errNoCertificate)
		}
		for _, cert := range f.Certificates {
			if err := t.addFurther(cert, own, g); err != nil {
				return nil, fmt.Errorf("access.trust: %s: %w", f.Name, err)
			}
		}
	}
	return t, nil
}

func (t *Trust) addFurther(cert, own *x509.Certificate, g grant) error {
	if own != nil && KeyID(cert) == KeyID(own) {
		return fmt.Errorf("%s is this TSES's own CA, which is trusted without being named", nameOf(cert))
	}
	if i, known := t.byCert[string(cert.Raw)]; known {
		if t.grants[i].table == g.table {
			return nil // twice in one file
		}
		return fmt.Errorf("%s is in %s too; what it gives has to stand in one place", nameOf(cert), t.grants[i].name)
	}
	if err := checkCA(cert); err != nil {
		return err
	}
	t.add(cert, g)
	return nil
}

func (t *Trust) add(cert *x509.Certificate, g grant) {
	g.key = KeyID(cert)
	t.byCert[string(cert.Raw)] = len(t.grants)
	t.grants = append(t.grants, g)
	t.pool.AddCert(cert)
}

// Pool is the certificates that chains have to end in.
func (t *Trust) Pool() *x509.CertPool { return t.pool }

// grantOf is what a chain gives at most: what is said of the certificate that it
// ends in. The lower rank goes before the higher where there are several chains.
func (t *Trust) grantOf(chain []*x509.Certificate) (g grant, rank int, ok bool) {
	rank, ok = t.byCert[string(chain[len(chain)-1].Raw)]
	if !ok {
		return grant{}, 0, false
	}
	return t.grants[rank], rank, true
}

// Check tells which of a policy's rules gives planes that its issuer cannot give.
func (t *Trust) Check(p *Policy) error {
	for i, r := range p.rules {
		issuer := func(g grant) bool { return g.key == r.Issuer }
		if n := slices.IndexFunc(t.grants, issuer); n >= 0 && r.Planes != 0 && t.grants[n].planes&r.Planes == 0 {
			g := t.grants[n]
			return fmt.Errorf("access rule %d: it gives the plane %v, and %s can give %v alone; say more in its [[access.trust]]", i+1, r.Planes, g.name, g.planes)
		}
	}
	return nil
}

var errNoCertificate = errors.New("it holds no certificate in PEM")

// maxTrust bounds a file of certificates.
const maxTrust = 1 << 20

// ReadCAs reads the certificates of CAs from a file in PEM, all of which have to
// be good to be trusted. Text between them is no matter; what else there is in
// PEM is refused, a private key above all.
func ReadCAs(path string) ([]*x509.Certificate, error) {
	text, err := statefile.Given(maxTrust).Read(path)
	if err != nil {
		return nil, err
	}
	var cas []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s: it holds a %s; leave nothing in it but the certificates of CAs", path, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", path, len(cas)+1, err)
		}
		if err := checkCA(cert); err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", path, len(cas)+1, err)
		}
		cas = append(cas, cert)
	}
	if len(cas) == 0 || bytes.Contains(text, []byte("-----BEGIN ")) {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(errNoCertificate, errCut(text)))
	}
	return cas, nil
}

// errCut says that a certificate is there that cannot be read.
func errCut(rest []byte) error {
	if !bytes.Contains(rest, []byte("-----BEGIN ")) {
		return nil
	}
	return errors.New("something begins in it that does not end")
}

// checkCA tells why a certificate cannot be that of a CA to trust. One of version
// 1 cannot say that it is a CA's; that it is trusted says it.
func checkCA(cert *x509.Certificate) error {
	if cert.Version >= 3 && !(cert.BasicConstraintsValid && cert.IsCA) {
		return fmt.Errorf("%s is not a CA's certificate (basic constraints CA:TRUE)", nameOf(cert))
	}
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("%s may not sign certificates (key usage keyCertSign)", nameOf(cert))
	}
	if err := checkKey(cert); err != nil {
		return fmt.Errorf("%s: %w", nameOf(cert), err)
	}
	return nil
}

// CheckDates tells which of the certificates can let nobody in at a time.
func (f Further) CheckDates(now time.Time) error {
	for _, cert := range f.Certificates {
		if now.After(cert.NotAfter) {
			return fmt.Errorf("access.trust: %s: %s has expired on %s; nobody gets in by it", f.Name, nameOf(cert), cert.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	return nil
}

// nameOf is a certificate's subject for people.
func nameOf(cert *x509.Certificate) string {
	if name := cert.Subject.String(); name != "" {
		return fmt.Sprintf("%.80q", name)
	}
	return "serial " + SerialString(cert)
}
