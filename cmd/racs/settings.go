package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
	"github.com/cloud-of-se/tses/update"
)

// settings are the flags, or the environment where a flag is not given.
type settings struct {
	server  string
	ca      string
	cred    string
	name    string
	timeout time.Duration
	tls12   bool
	help    bool
	which   bool         // version is asked for by a flag
	as      string       // before the names of readers, of racs pcsc
	socket  string       // that stays, of racs pcsc
	asked   update.Asked // by name, of racs update
	before  int          // words that stand before "--"; -1 without one
}

// parse reads the flags, which may stand before, between and behind the words,
// and returns the words. Behind "--" everything is a word.
func (p *program) parse(args []string, env func(string) string) (words []string, err error) {
	flags := flag.NewFlagSet("racs", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&p.server, "server", env("RACS_SERVER"), "")
	flags.StringVar(&p.ca, "ca", env("RACS_CA"), "")
	flags.StringVar(&p.cred, "cred", env("RACS_CRED"), "")
	flags.StringVar(&p.name, "name", "", "")
	flags.DurationVar(&p.timeout, "timeout", 0, "")
	flags.BoolVar(&p.tls12, "tls12", false, "")
	flags.StringVar(&p.as, "as", "", "")
	flags.StringVar(&p.socket, "socket", "", "")
	flags.StringVar(&p.asked.Older, "older", "", "")
	flags.StringVar(&p.asked.Boot, "boot", "", "")
	flags.BoolVar(&p.which, "version", false, "")
	p.before = -1
	for {
		err := flags.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			p.help = true
			return words, nil
		}
		if err != nil {
			return nil, usageError(err.Error() + "; racs help shows the flags")
		}
		rest := flags.Args()
		if taken := len(args) - len(rest); taken > 0 && args[taken-1] == "--" {
			p.before = len(words)
			return append(words, rest...), p.checkTimeout()
		}
		if len(rest) == 0 {
			return words, p.checkTimeout()
		}
		words, args = append(words, rest[0]), rest[1:]
	}
}

func (p *program) checkTimeout() error {
	if p.timeout < 0 {
		return usageError(fmt.Sprintf("-timeout %v is negative; write it as 10s or 2m", p.timeout))
	}
	return nil
}

// missing names the settings without which there is no connection.
func (s settings) missing() error {
	for _, needed := range []struct{ value, name, env, what string }{
		{s.server, "-server", "RACS_SERVER", "HOST:PORT of the TSES"},
		{s.ca, "-ca", "RACS_CA", "the TSES's ca.pem"},
		{s.cred, "-cred", "RACS_CRED", "the credential, certificate and key in one PEM file"},
	} {
		if needed.value == "" {
			return usageError(fmt.Sprintf("%s is missing: %s; set it or %s", needed.name, needed.what, needed.env))
		}
	}
	return nil
}

// options makes -timeout the bound of each step.
func (s settings) options() racs.Options {
	return racs.Options{DialTimeout: s.timeout, HandshakeTimeout: s.timeout, RequestTimeout: s.timeout, WriteTimeout: s.timeout}
}

// config reads the files.
func (p *program) config() (*tls.Config, error) {
	if err := p.missing(); err != nil {
		return nil, err
	}
	cas, err := racs.LoadCA(p.ca)
	if err != nil {
		return nil, fileError(err)
	}
	credential, err := racs.LoadCredential(p.cred)
	if err != nil {
		return nil, fileError(err)
	}
	if what, todo := exposed(p.cred); what != "" {
		p.say("warning: %s; %s", what, todo)
	}
	return p.tlsConfig(cas, credential), nil
}

func (p *program) tlsConfig(cas []*x509.Certificate, credential tls.Certificate) *tls.Config {
	config := racs.ClientConfig(cas, credential, p.name)
	config.Time = p.now
	if p.tls12 {
		config.MinVersion = tls.VersionTLS12
	}
	return config
}

// withClient connects, lets do talk to the server and ends the session.
func (p *program) withClient(ctx context.Context, do func(*racs.Client) error) error {
	config, err := p.config()
	if err != nil {
		return err
	}
	client, err := racs.Dial(ctx, p.server, config, p.options())
	if err != nil {
		return err
	}
	return errors.Join(do(client), client.Close())
}
