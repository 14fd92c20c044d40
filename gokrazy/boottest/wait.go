package boottest

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
)

// Await waits until a pattern is on the console, and returns the match with its
// groups.
func (m *Machine) Await(ctx context.Context, pattern string) ([]string, error) {
	re := regexp.MustCompile(pattern)
	for {
		text, more := m.console.read()
		if match := re.FindStringSubmatch(text); match != nil {
			return match, nil
		}
		select {
		case <-more:
		case <-m.ended:
			return nil, fmt.Errorf("waiting for %q on the console: the machine has ended: %v\n%s", pattern, m.err, m.Console())
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %q on the console: %w\n%s", pattern, ctx.Err(), m.Console())
		}
	}
}

// Dial connects to the box as its owner's administrator, and tries again until
// the box answers.
func (m *Machine) Dial(ctx context.Context) (*racs.Client, error) {
	cas, err := racs.LoadCA(m.card.Owner.CA())
	if err != nil {
		return nil, err
	}
	credential, err := racs.LoadCredential(m.card.Owner.Admin())
	if err != nil {
		return nil, err
	}
	config := racs.ClientConfig(cas, credential, m.card.Name+".local")
	// Before that an attempt would hang in QEMU and miss the moment.
	if _, err := m.Await(ctx, `RACS ready on`); err != nil {
		return nil, err
	}
	for {
		// QEMU accepts before the box does, so that attempts have to be short.
		c, err := racs.Dial(ctx, m.addr, config, racs.Options{DialTimeout: time.Second, HandshakeTimeout: 2 * time.Second})
		if err == nil {
			return c, nil
		}
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
			return nil, invalid // waiting does not change it
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-m.ended:
			return nil, fmt.Errorf("%w; the machine has ended: %v", err, m.err)
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; %w", err, ctx.Err())
		}
	}
}
