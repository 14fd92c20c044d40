package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/cloud-of-se/tses/access"
)

// accessConfig is whose credentials are let in, and what they may.
type accessConfig struct {
	Trust []trust `toml:"trust"`
	Rules []rule  `toml:"rule"`
}

// trust is a file with CAs besides the TSES's own, and what they can give.
type trust struct {
	File   string   `toml:"file"`
	Planes []string `toml:"planes"`
	SEs    []string `toml:"se"`
}

type rule struct {
	Name   string   `toml:"name"`
	Serial string   `toml:"serial"`
	Issuer string   `toml:"issuer"` // a file, or a key's SHA-256 in hex
	Others bool     `toml:"others"`
	SEs    []string `toml:"se"`
	Planes []string `toml:"planes"`
}

// locate makes the names of files those of files beside the configuration.
func (a *accessConfig) locate(dir string) {
	beside := func(file *string) {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(dir, *file)
		}
	}
	for i := range a.Trust {
		beside(&a.Trust[i].File)
	}
	for i := range a.Rules {
		if r := &a.Rules[i]; !isKeyID(r.Issuer) {
			beside(&r.Issuer)
		}
	}
}

// files are those that it names.
func (a accessConfig) files() (names []string) {
	for _, t := range a.Trust {
		names = append(names, t.File)
	}
	for _, r := range a.Rules {
		if r.Issuer != "" && !isKeyID(r.Issuer) {
			names = append(names, r.Issuer)
		}
	}
	return names
}

// isKeyID tells the SHA-256 of an issuer's key from the name of a file.
func isKeyID(issuer string) bool {
	return len(issuer) == 64 && strings.Trim(strings.ToLower(issuer), "0123456789abcdef") == ""
}

// check tells what can be known to be wrong without the files.
func (a accessConfig) check() error {
	for i, t := range a.Trust {
		if t.File == "" {
			return fmt.Errorf("access.trust %d has no file; name the one with the CA's certificate in PEM", i+1)
		}
		if _, err := planesOf(t.Planes); err != nil {
			return fmt.Errorf("access.trust: %s: %w", t.File, err)
		}
	}
	for i, r := range a.Rules {
		if _, err := planesOf(r.Planes); err != nil {
			return fmt.Errorf("access rule %d: %w", i+1, err)
		}
	}
	return nil
}

// planesOf reads a list of planes. An empty one, unlike none, gives nothing.
func planesOf(names []string) (access.Plane, error) {
	if names == nil {
		return 0, nil
	}
	return access.ParsePlanes(strings.Join(names, ","))
}

// admission is the CAs that the configuration trusts besides the own one, and
// its rules.
type admission struct {
	further []access.Further
	rules   []access.Rule
}

// admission reads the files that the configuration names.
func (a accessConfig) admission() (admission, error) {
	var all admission
	for _, t := range a.Trust {
		cas, err := access.ReadCAs(t.File)
		if err != nil {
			return all, fmt.Errorf("access.trust: %w", err)
		}
		planes, err := planesOf(t.Planes)
		if err != nil {
			return all, fmt.Errorf("access.trust: %s: %w", t.File, err)
		}
		all.further = append(all.further, access.Further{Name: filepath.Base(t.File), Certificates: cas, Planes: planes, SEs: t.SEs})
	}
	for i, r := range a.Rules {
		issuer, err := issuerKey(r.Issuer)
		if err != nil {
			return all, fmt.Errorf("access rule %d: issuer: %w", i+1, err)
		}
		planes, err := planesOf(r.Planes)
		if err != nil {
			return all, fmt.Errorf("access rule %d: %w", i+1, err)
		}
		all.rules = append(all.rules, access.Rule{Name: r.Name, Serial: r.Serial, Issuer: issuer, Others: r.Others, SEs: r.SEs, Planes: planes})
	}
	return all, nil
}

// issuerKey names the key of an issuer, which is given by a file with its
// certificate or by that name itself.
func issuerKey(issuer string) (string, error) {
	if issuer == "" || isKeyID(issuer) {
		return issuer, nil
	}
	cas, err := access.ReadCAs(issuer)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w; want a file with the CA's certificate, or the SHA-256 of its public key in 64 hex digits", err)
	}
	if err != nil {
		return "", err
	}
	id := access.KeyID(cas[0])
	if slices.ContainsFunc(cas, func(ca *x509.Certificate) bool { return access.KeyID(ca) != id }) {
		return "", fmt.Errorf("%s holds certificates of several CAs; name one", issuer)
	}
	return id, nil
}

// gateRules are the CAs, the own one among them where it is known, and the rules,
// held against each other.
func (a admission) gateRules(own *x509.Certificate) (*access.Trust, *access.Policy, error) {
	t, err := access.NewTrust(own, a.further...)
	if err != nil {
		return nil, nil, err
	}
	p, err := access.NewPolicy(a.rules)
	if err != nil {
		return nil, nil, err
	}
	return t, p, t.Check(p)
}

// checkAccess tells what is wrong with who is let in, as far as it can be known
// without the own CA.
func (c config) checkAccess() (admission, error) {
	a, err := c.Access.admission()
	if err != nil {
		return a, err
	}
	if _, _, err := a.gateRules(nil); err != nil {
		return a, err
	}
	return a, c.checkSights()
}

// checkSights tells which table or rule gives a sight of no SE that there is.
// With readers whose cards come and go that cannot be known.
func (c config) checkSights() error {
	if c.PCSC.Readers {
		return nil
	}
	for _, t := range c.Access.Trust {
		if err := c.checkSight(t.SEs); err != nil {
			return fmt.Errorf("access.trust: %s: %w", t.File, err)
		}
	}
	for i, r := range c.Access.Rules {
		if err := c.checkSight(r.SEs); err != nil {
			return fmt.Errorf("access rule %d: %w", i+1, err)
		}
	}
	return nil
}

func (c config) checkSight(globs []string) error {
	if globs == nil {
		return nil
	}
	matches := func(name string) bool {
		return slices.ContainsFunc(globs, func(glob string) bool {
			ok, err := path.Match(glob, name)
			return ok || err != nil // which is told elsewhere
		})
	}
	var seids []string
	for _, e := range c.Elements {
		if matches(e.SEID) {
			return nil
		}
		seids = append(seids, e.SEID)
	}
	for _, e := range c.Elements {
		if i := slices.IndexFunc(e.Aliases, matches); i >= 0 {
			return fmt.Errorf("se = %q names an alias: write the SEID, %q", globs, e.SEID)
		}
	}
	return fmt.Errorf("se = %q is none of the elements: there is %s", globs, strings.Join(seids, ", "))
}

// checkDates tells which CA has expired already. It is for who makes a
// configuration: a TSES that runs on cannot stop for it.
func (a admission) checkDates(now time.Time) error {
	for _, f := range a.further {
		if err := f.CheckDates(now); err != nil {
			return err
		}
	}
	return nil
}

// oldTrust is the error for a list of files, as it was before tables said what
// the CAs can give.
func oldTrust(file, text string) error {
	var old struct {
		Access struct {
			Trust []string `toml:"trust"`
		} `toml:"access"`
	}
	if _, err := toml.Decode(text, &old); err != nil || len(old.Access.Trust) == 0 {
		return nil
	}
	line := lineOf(text, toml.Key{"access", "trust"})
	return fmt.Errorf("%s:%d: access.trust is a table for each file now: write [[access.trust]] and below it file = %q; without planes = [...] it gives the user plane alone",
		file, line, old.Access.Trust[0])
}
