package access

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Rule narrows what the credentials that it speaks of may see. It speaks of
// those with its name or its serial.
type Rule struct {
	Name   string   // subject CN, or empty
	Serial string   // hex digits, or empty
	SEs    []string // globs over SEIDs
}

// Policy is the rules of the configuration. The zero value narrows nothing.
type Policy struct{ rules []Rule }

// NewPolicy checks the rules.
func NewPolicy(rules []Rule) (*Policy, error) {
	p := &Policy{rules: slices.Clone(rules)}
	for i := range p.rules {
		r := &p.rules[i]
		if (r.Name == "") == (r.Serial == "") {
			return nil, fmt.Errorf("access rule %d: give either a name or a serial", i+1)
		}
		for _, glob := range r.SEs {
			if err := CheckGlob(glob); err != nil {
				return nil, fmt.Errorf("access rule %d: %w", i+1, err)
			}
		}
		if r.Serial != "" && !hexSerial.MatchString(NormalSerial(r.Serial)) {
			return nil, fmt.Errorf("access rule %d: serial %q: want hex digits, as 'credential list' shows them", i+1, r.Serial)
		}
		r.Serial = NormalSerial(r.Serial)
	}
	return p, nil
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

// hexSerial is what [NormalSerial] makes of a serial number.
var hexSerial = regexp.MustCompile(`^[0-9a-f]{1,40}$`)

// MaySee tells whether an SE exists for a credential: its own globs and those
// of the rules that speak of it both allow the SEID.
func (p *Policy) MaySee(c *Credential, seid string) bool {
	if c.SEs != nil && !matchAny(c.SEs, seid) {
		return false
	}
	spoken, allowed := false, false
	for _, r := range p.rules {
		if r.Name != "" && r.Name == c.Name || r.Serial != "" && r.Serial == c.Serial {
			spoken = true
			allowed = allowed || matchAny(r.SEs, seid)
		}
	}
	return allowed || !spoken
}
