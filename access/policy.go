package access

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Rule says which SEs and planes the credentials that it speaks of have. It
// speaks of those that have all that it names of name, serial and issuer; of one
// that names none of the first two and has Others, those that no other rule
// speaks of. Rules give nothing that a credential's certificate does not name
// and its CA cannot give, but for planes to a certificate that names none.
type Rule struct {
	Name   string   // subject CN, or empty
	Serial string   // hex digits, or empty
	Issuer string   // [KeyID] of a CA that the credential's chain goes through, or empty
	Others bool     // all that no rule without it speaks of
	SEs    []string // globs over SEIDs; nil: says nothing of SEs
	Planes Plane    // 0: says nothing of planes
}

// Policy is the rules of the configuration. The zero value narrows nothing.
type Policy struct{ rules []Rule }

// NewPolicy checks the rules. One that can speak of nobody, or says nothing, is
// an error.
func NewPolicy(rules []Rule) (*Policy, error) {
	p := &Policy{rules: slices.Clone(rules)}
	for i := range p.rules {
		if err := p.rules[i].complete(); err != nil {
			return nil, fmt.Errorf("access rule %d: %w", i+1, err)
		}
	}
	return p, nil
}

func (r *Rule) complete() error {
	if err := r.checkWho(); err != nil {
		return err
	}
	r.SEs, r.Serial, r.Issuer = slices.Clone(r.SEs), NormalSerial(r.Serial), strings.ToLower(r.Issuer)
	switch {
	case r.SEs != nil && len(r.SEs) == 0:
		return errors.New("it lets nobody see an SE; name some, or revoke the credential")
	case r.SEs == nil && r.Planes == 0:
		return errors.New("it says nothing: give it se, planes or both")
	}
	return checkGlobs(r.SEs)
}

func (r *Rule) checkWho() error {
	switch {
	case r.Name != "" && r.Serial != "":
		return errors.New("give either a name or a serial")
	case r.Others && (r.Name != "" || r.Serial != ""):
		return errors.New("others are those that no rule names: give no name and no serial with it")
	case r.Name == "" && r.Serial == "" && r.Issuer == "" && !r.Others:
		return errors.New("it speaks of nobody: give a name, a serial, an issuer or others = true")
	case r.Serial != "" && !hexSerial.MatchString(NormalSerial(r.Serial)):
		return fmt.Errorf("serial %q: want hex digits, as 'credential list' shows them", r.Serial)
	case r.Issuer != "" && !hexKeyID.MatchString(strings.ToLower(r.Issuer)):
		return fmt.Errorf("issuer %.80q: want the file of a CA's certificate, or the SHA-256 of its public key in 64 hex digits", r.Issuer)
	}
	if err := checkName(r.Name); err != nil {
		return fmt.Errorf("no certificate can have that name: %w", err)
	}
	return nil
}

// NormalSerial writes a serial number as [SerialString] does: lower case,
// without colons and leading zeros.
func NormalSerial(s string) string {
	s = strings.ToLower(strings.ReplaceAll(s, ":", ""))
	if digits := strings.TrimLeft(s, "0"); digits != "" || s == "" {
		return digits
	}
	return "0"
}

var (
	hexSerial = regexp.MustCompile(`^[0-9a-f]{1,40}$`) // what NormalSerial makes of a serial number
	hexKeyID  = regexp.MustCompile(`^[0-9a-f]{64}$`)   // what KeyID returns
)

// speaks tells whether a credential has what the rule names.
func (r *Rule) speaks(c *Credential) bool {
	return (r.Name == "" || r.Name == c.Name) && (r.Serial == "" || r.Serial == c.Serial) &&
		(r.Issuer == "" || slices.ContainsFunc(c.Chain, func(id ID) bool { return id.Issuer == r.Issuer }))
}

// of are the rules that speak of a credential.
func (p *Policy) of(c *Credential) []Rule {
	var named, others []Rule
	for _, r := range p.rules {
		switch {
		case !r.speaks(c):
		case r.Others:
			others = append(others, r)
		default:
			named = append(named, r)
		}
	}
	if len(named) > 0 {
		return named
	}
	return others
}

// judge says what a credential has, whose CA can give what g says: its
// certificate's planes and SEs, narrowed by what all rules that speak of it
// allow together. A certificate that names no plane has those that the rules give.
func (p *Policy) judge(c *Credential, g grant) error {
	var planes Plane
	var ses []string
	for _, r := range p.of(c) {
		planes |= r.Planes
		ses = append(ses, r.SEs...)
	}
	switch {
	case c.Planes == 0:
		c.Planes = planes
	case planes != 0:
		c.Planes &= planes
	}
	c.Planes &= g.planes
	if c.Planes == 0 {
		return fmt.Errorf("%v: %w", c, ErrNoPlane)
	}
	for _, globs := range [][]string{g.ses, ses} {
		if globs != nil {
			c.within = append(c.within, globs)
		}
	}
	return nil
}
