package gp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
)

// ErrState is matched by every error of [Load]: the state is not one of this
// card's, or damaged.
var ErrState = errors.New("not a state of a software SE")

const stateMagic = "TSESoft\x01" // the last byte is the version of the format

func (r *Registry) marshal() ([]byte, error) {
	b := append([]byte(stateMagic), r.serial[:]...)
	for _, in := range r.instances[1:] {
		state, err := in.App.Save()
		if err != nil {
			return nil, fmt.Errorf("application %s: writing its state: %w", in.AID, err)
		}
		for _, f := range [][]byte{[]byte(in.AID), []byte(in.Module), []byte(in.Package), state} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
			b = append(b, f...)
		}
		clear(state)
	}
	return b, nil
}

// Load is the registry that an earlier one's Save got.
func Load(cfg Config, state []byte) (*Registry, error) {
	r := &Registry{cfg: cfg}
	n := len(stateMagic)
	if len(state) < n+4 || string(state[:n]) != stateMagic {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrState)
	}
	copy(r.serial[:], state[n:])
	r.instances = []*Instance{{AID: ISD, App: &domain{r: r}}}
	for b := state[n+4:]; len(b) > 0; {
		var f [4][]byte
		for i := range f {
			if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
				return nil, fmt.Errorf("%w: it is cut", ErrState)
			}
			n := int(binary.BigEndian.Uint32(b))
			f[i], b = b[4:4+n], b[4+n:]
		}
		in := &Instance{AID: apdu.AID(f[0]), Module: apdu.AID(f[1]), Package: apdu.AID(f[2])}
		m := r.module(in.Package, in.Module)
		if m == nil {
			return nil, fmt.Errorf("%w: application %s needs package %s, which is not built in", ErrState, in.AID, in.Package)
		}
		app, err := m.Load(r, in.AID, f[3])
		if err != nil {
			return nil, fmt.Errorf("application %s: reading its state: %w", in.AID, err)
		}
		in.App = app
		r.instances = append(r.instances, in)
	}
	return r, nil
}
