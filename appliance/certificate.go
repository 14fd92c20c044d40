package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloud-of-se/tses/access"
)

// serverCertificate hands out the server's certificate, renews it while the server
// runs, and takes the one that its owner has renewed.
type serverCertificate struct {
	authority *access.Authority
	names     []string
	log       *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate
	judged time.Time   // when it was last asked whether it will do
	looked time.Time   // and when for another file
	file   os.FileInfo // that it is from
}

const (
	judgeEvery = 24 * time.Hour
	lookEvery  = time.Second
)

// get looks once a day whether the certificate is still good for a while, and now
// and then whether there is another one. One that cannot be renewed yet stays: it
// has a month left.
func (s *serverCertificate) get() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cert != nil && time.Since(s.judged) < judgeEvery && !s.replaced() {
		return s.cert, nil
	}
	cert, err := s.authority.ServerCertificate(s.names)
	if err != nil && s.cert == nil {
		return nil, err
	}
	s.judged = time.Now()
	if err != nil {
		s.log.Error("the server's certificate is not renewed, the old one is used; next try in a day", "until", s.cert.Leaf.NotAfter, "err", err)
		return s.cert, nil
	}
	s.cert = cert
	s.seen()
	s.tell()
	return cert, nil
}

// seen remembers which file the certificate is from.
func (s *serverCertificate) seen() {
	s.file, _ = os.Lstat(s.authority.ServerCertificatePath()) // one that is gone is another
}

// replaced tells whether somebody has put another certificate there.
func (s *serverCertificate) replaced() bool {
	if time.Since(s.looked) < lookEvery {
		return false
	}
	s.looked = time.Now()
	info, err := os.Lstat(s.authority.ServerCertificatePath())
	was := s.file
	if err != nil || was != nil && os.SameFile(info, was) && info.ModTime().Equal(was.ModTime()) {
		return false
	}
	s.file = info // whatever is found to be wrong with it is said once
	return true
}

// tell says, where the CA's key is not here, what that means and until when.
func (s *serverCertificate) tell() {
	if s.authority.HasKey() {
		return
	}
	until := s.cert.Leaf.NotAfter.UTC().Format(time.RFC3339)
	renew := "appliance certificate renew -ca-key FILE"
	if lacks := s.authority.Lacks(s.cert.Leaf, s.names); lacks != nil {
		s.log.Warn("the CA's key is not here, and this server cannot renew its certificate by itself: renew it, here or on a copy of ca.pem and server.pem, before clients refuse it", "why", lacks, "until", until, "by", renew)
		return
	}
	s.log.Info("the CA's key is not here, as is well: who has it renews the server's certificate in time", "until", until, "by", renew)
}

// certificate is the subcommand for the server's own certificate.
func certificate(f flags, args []string, stdout, stderr io.Writer) error {
	var state, key, names string
	fs := flag.NewFlagSet("appliance certificate", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, usage); fs.PrintDefaults() }
	fs.StringVar(&state, "state", f.state, "the state `directory`, or a copy of its ca.pem and server.pem")
	fs.StringVar(&key, "ca-key", "", "the `file` with the CA's key, where that is not in the state directory")
	fs.StringVar(&names, "names", "", "further `names` and addresses that clients reach the server by, with commas between")
	words, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return errUsage // the flag package has said why
	}
	if len(words) != 1 || words[0] != "renew" {
		return misused(stderr, "certificate: cannot make sense of "+strings.Join(args, " "))
	}
	a, err := openAuthority(state, key)
	if err != nil {
		return err
	}
	return renew(a, strings.FieldsFunc(names, func(r rune) bool { return r == ',' }), stdout)
}

// renew makes the server a certificate for the names that its old one has, and more.
func renew(a *access.Authority, more []string, stdout io.Writer) error {
	names, err := a.ServerNames()
	if err != nil {
		return err
	}
	names = append(names, more...)
	if len(names) == 0 {
		return errors.New("server certificate: there is none yet whose names could be kept; give -names, such as -names localhost,tses.example")
	}
	slices.Sort(names)
	cert, err := a.NewServerCertificate(slices.Compact(names))
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: for %s, until %s; a TSES that runs takes it within seconds\n", a.ServerCertificatePath(), strings.Join(slices.Compact(names), ", "), day(cert.Leaf.NotAfter))
	return nil
}
