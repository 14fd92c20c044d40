package gp

import (
	"errors"
	"slices"

	"github.com/cloud-of-se/tses/apdu"
)

// change makes a change and saves it, or takes it back. The answer is the
// status word in err, 6581 where saving failed.
func (r *Registry) change(do func() error) error {
	before := r.snapshot()
	err := do()
	if err == nil {
		r.generation++
		if r.Commit() == nil {
			return nil
		}
		// What failed is the store's to log; the terminal can be told this.
		err = apdu.SWMemoryFailure
	}
	before.restore(r)
	r.generation++
	var sw apdu.SW
	if !errors.As(err, &sw) {
		return apdu.SWUnknown
	}
	return sw
}

// snapshot is the registry without the states of the applications, to return
// to. Key sets are never changed in place, so their slices can be shared.
type snapshot struct {
	card      CardState
	instances []*Instance
	values    []Instance
	domains   []domainState // zero where the instance is none
}

func (r *Registry) snapshot() snapshot {
	s := snapshot{card: r.card, instances: slices.Clone(r.instances)}
	for _, in := range r.instances {
		var state domainState
		if d, ok := in.App.(*domain); ok {
			state = d.domainState
		}
		s.values, s.domains = append(s.values, *in), append(s.domains, state)
	}
	return s
}

func (s snapshot) restore(r *Registry) {
	r.card, r.instances = s.card, s.instances
	for i, in := range r.instances {
		*in = s.values[i]
		if d, ok := in.App.(*domain); ok {
			d.domainState = s.domains[i]
		}
	}
}
