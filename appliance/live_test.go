package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// client is a RACS client of few words.
type client struct {
	*tls.Conn
	in *bufio.Reader
}

func (s *tses) file(name string) string { return filepath.Join(s.state, name) }

// clientConfig trusts the CA of the TSES and shows the credential, if any.
func (s *tses) clientConfig(t testing.TB, cert *tls.Certificate) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(s.file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: roots, ServerName: "localhost", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert == nil {
			return new(tls.Certificate), nil
		}
		return cert, nil
	}}
}

// open connects and asks for the version, which shows whether the credential
// was let in.
func (s *tses) open(t testing.TB, cert *tls.Certificate) (*client, error) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: bound}, "tcp", s.addr, s.clientConfig(t, cert))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{Conn: conn, in: bufio.NewReader(conn)}
	_, err = c.ask("GET-VERSION")
	return c, err
}

func (s *tses) mustOpen(t testing.TB, credential string) *client {
	t.Helper()
	c, err := s.open(t, loadPair(t, s.file("credentials/"+credential+".pem")))
	if err != nil {
		t.Fatalf("%s: %v\n%s", credential, err, s.log)
	}
	return c
}

func loadPair(t testing.TB, file string) *tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}

// ask sends one request and returns the lines of its answer without BEGIN and
// END.
func (c *client) ask(commands ...string) (string, error) {
	if err := c.send(commands...); err != nil {
		return "", err
	}
	return c.answer()
}

func (c *client) send(commands ...string) error {
	_, err := fmt.Fprintf(c, "BEGIN\n%s\nEND\n", strings.Join(commands, "\n"))
	return err
}

func (c *client) answer() (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(bound)); err != nil {
		return "", err
	}
	var lines []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "\n"), err
		}
		switch line = strings.TrimRight(line, "\r\n"); {
		case line == "END":
			return strings.Join(lines, "\n"), nil
		case !strings.HasPrefix(line, "BEGIN"):
			lines = append(lines, line)
		}
	}
}

// want asks and compares how the answer begins.
func (c *client) want(t testing.TB, prefix string, commands ...string) {
	t.Helper()
	got, err := c.ask(commands...)
	if err != nil || !strings.HasPrefix(got, prefix) {
		t.Errorf("%v: %q, %v; want %q", commands, got, err, prefix)
	}
}

func writeConfig(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tses.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const twoCards = `
[[element]]
seid = "card1"
driver = "scripted"
aliases = ["token"]
[[element]]
seid = "card2"
driver = "scripted"
`

func TestServe(t *testing.T) {
	s := serveTSES(t)
	user, admin := s.mustOpen(t, "user"), s.mustOpen(t, "admin")
	user.want(t, "+004 001 soft1 soft2 ", "LIST")
	user.want(t, "+008 001 ", "POWERON soft1")
	admin.want(t, "-708 001 soft1 is in use by user since ", "POWERON soft1")
	user.want(t, "-606 001 ", "APDU soft1 80E60C00024F00")
	user.want(t, "-606 001 ", "APDU soft1 00A4040000")
	admin.want(t, "+008 001 ", "POWERON soft2")
	admin.want(t, "+006 002 6F", "POWERON soft2", "APDU soft2 00A4040000 MORE=61")
}

// TestDrain: at SIGTERM the running command finishes and is answered, the
// clients get close_notify, and the exit status is 0.
func TestDrain(t *testing.T) {
	s := serveTSES(t, "-config", writeConfig(t, twoCards))
	busy, idle := s.mustOpen(t, "user"), s.mustOpen(t, "admin")
	busy.want(t, "+008 001 ", "POWERON card1")
	if err := busy.send("APDU card1 80DD01F4 APPEND", "APDU card1 00B0000001"); err != nil { // 500 ms
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // the command is under way now, or it is not executed at all
	stopped := make(chan error)
	go func() { stopped <- s.stop(syscall.SIGTERM) }()
	got, err := busy.answer()
	if err != nil || !strings.HasPrefix(got, "+006 001 9000\n-9") {
		t.Errorf("the running command: %q, %v; want its answer, and that the next one was not executed", got, err)
	}
	for name, c := range map[string]*client{"busy": busy, "idle": idle} {
		// crypto/tls makes io.EOF of close_notify, and io.ErrUnexpectedEOF of a
		// connection that ends without it.
		if _, err := c.in.ReadByte(); err != io.EOF {
			t.Errorf("%s: %v, want close_notify", name, err)
		}
	}
	if err := <-stopped; err != nil {
		t.Errorf("exit: %v, want status 0\n%s", err, s.log)
	}
	if conn, err := net.Dial("tcp", s.addr); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

// TestRevocation: a revocation by the command line ends the live session
// within a second, running command included, and frees its SE; nobody else
// notices.
func TestRevocation(t *testing.T) {
	s := serveTSES(t, "-config", writeConfig(t, twoCards))
	file := filepath.Join(t.TempDir(), "alice.pem")
	if status, _, stderr := runOnce(t, "-state", s.state, "credential", "issue", "alice", "-plane", "user", "-out", file); status != exitOK {
		t.Fatal(stderr)
	}
	alice, err := s.open(t, loadPair(t, file))
	if err != nil {
		t.Fatal(err)
	}
	bob := s.mustOpen(t, "user")
	alice.want(t, "+008 001 ", "POWERON card1")
	bob.want(t, "+008 001 ", "POWERON card2")
	if err := alice.send("APDU card1 80DD4E20"); err != nil { // 20 s
		t.Fatal(err)
	}
	status, stdout, stderr := runOnce(t, "credential", "revoke", "alice", "-state", s.state)
	revoked := time.Now()
	if status != exitOK || !strings.Contains(stdout, "(alice)") {
		t.Fatalf("revoke: %d, %s%s", status, stdout, stderr)
	}
	for err = nil; err == nil; { // an answer may come before the end
		_, err = alice.answer()
	}
	if took := time.Since(revoked); took > time.Second || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the session ended %v after the revocation: %v", took, err)
	}
	bob.want(t, "+006 001 009000", "APDU card2 00B0000001")
	bob.want(t, "+008 001 ", "POWERON card1") // at once: the SE is off before the goodbye
	if _, err := s.open(t, loadPair(t, file)); err == nil {
		t.Error("a revoked credential opens a session")
	}
	for _, pattern := range []string{`session ends.*client=alice.*why=.*revoked`, `not let in.*credential \\"alice\\".*revoked`} {
		if _, err := s.log.await(regexp.MustCompile(pattern), bound); err != nil {
			t.Error(err)
		}
	}
}

func TestNotLetIn(t *testing.T) {
	s := serveTSES(t)
	caPair, err := tls.LoadX509KeyPair(s.file("ca.pem"), s.file("ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	other := &tls.Certificate{}
	*other = *selfMade(t, "mallory", nil, time.Hour)
	for _, tt := range []struct {
		name  string
		cert  *tls.Certificate
		alert string
		log   string
	}{
		{"no certificate", nil, "certificate required", `no TLS session.*didn't provide a certificate`},
		{"another CA", other, "unknown certificate authority", `not let in.*client=mallory`},
		{"expired", selfMade(t, "old", &caPair, -time.Minute), "expired certificate", `not let in.*expired.*client=old`},
		{"no plane", selfMade(t, "planeless", &caPair, time.Hour), "bad certificate", `not let in.*credential \\"planeless\\".*no plane`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := s.open(t, tt.cert); err == nil || !strings.Contains(err.Error(), tt.alert) {
				t.Errorf("%v, want the alert %q", err, tt.alert)
			}
			if _, err := s.log.await(regexp.MustCompile(tt.log), bound); err != nil {
				t.Error(err)
			}
		})
	}
	if strings.Contains(s.log.String(), "session begins") {
		t.Errorf("somebody was let in:\n%s", s.log)
	}
}

// selfMade makes a client certificate without a plane, of the CA, or of itself.
func selfMade(t *testing.T, name string, ca *tls.Certificate, life time.Duration) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent, signer := tmpl, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestNoSecretsInTheLog sends PINs and keys in commands that are executed,
// refused, malformed and lost, and looks for them.
func TestNoSecretsInTheLog(t *testing.T) {
	s := serveTSES(t, "-config", writeConfig(t, twoCards+"[timeouts]\napdu = \"100ms\"\n"))
	c := s.mustOpen(t, "user")
	const pin, key = "3938373635343332", "C0FFEE00C0FFEE11C0FFEE22C0FFEE33"
	c.want(t, "+008 001 ", "POWERON card1")
	c.want(t, "+006 001 9000", "APDU card1 0020008008"+pin)
	c.want(t, "-606 001 ", "APDU card1 80D8018110"+key)
	c.want(t, "-606 001 ", "APDU card1 80E2800010"+key)
	c.want(t, "-506 001 ", "APDU card1 0020008009"+pin)
	c.want(t, "-506 001 ", "APDU card1 0020008008"+pin+"Z")
	c.want(t, "-406 001 ", "APDU nobody 0020008008"+pin)
	c.want(t, "-806 001 ", "APDU card1 80DD271008"+pin) // waits for 10 s
	c.want(t, "-100 001 ", "VERIFY"+pin)
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	log := strings.ToUpper(s.log.String())
	if !strings.Contains(log, "80D80181") {
		t.Errorf("the refusal is not in the log:\n%s", log)
	}
	for _, secret := range []string{pin, "98765432", "39 38 37", "57 56 55 54", key, "C0FFEE", "PRIVATE KEY"} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, s.log)
		}
	}
}

// TestBrokenElement: an SE whose state is broken is out of service, the others
// serve.
func TestBrokenElement(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	first, err := startTSES(state)
	if err != nil {
		t.Fatal(err)
	}
	first.mustOpen(t, "user").want(t, "+008 001 ", "POWERON soft2")
	if err := first.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "elements", "soft2.state"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := startTSES(state)
	if err != nil {
		t.Fatal(err)
	}
	c := s.mustOpen(t, "user")
	c.want(t, "+004 001 soft1 soft2 ", "LIST")
	c.want(t, "+008 001 ", "POWERON soft1")
	c.want(t, "-808 001 ", "POWERON soft2")
	c.want(t, "-305 001 ", "RESET soft2")
	c.want(t, "-306 001 ", "APDU soft2 00840000")
	c.want(t, "+007 001 ", "SHUTDOWN soft2")
	c.want(t, "+006 001 ", "APDU soft1 0084000008")
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if !regexp.MustCompile(`level=ERROR msg="element is out of service" seid=soft2 err=`).MatchString(s.log.String()) {
		t.Errorf("the log does not say so:\n%s", s.log)
	}
}
