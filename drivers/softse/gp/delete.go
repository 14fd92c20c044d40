package gp

import (
	"slices"

	"github.com/cloud-of-se/tses/apdu"
)

// deleteRelated is P2 of DELETE for an object with what depends on it
// (GlobalPlatform Card Specification 2.3.1, 11.2.2).
const deleteRelated = 0x80

// delete is DELETE of an application, a load file or a key set.
func (s *session) delete(c apdu.Command) ([]byte, error) {
	if c.P1 != 0 || c.P2 != 0 && c.P2 != deleteRelated {
		return nil, apdu.SWIncorrectP1P2
	}
	objects, err := apdu.ParseTLVs(c.Data)
	if err != nil || len(objects) == 0 {
		return nil, apdu.SWWrongData
	}
	if objects[0].Tag == 0xD0 || objects[0].Tag == 0xD2 {
		return noReceipt, s.deleteKeys(objects)
	}
	aid := objects[0].Value
	if len(objects) != 1 || objects[0].Tag != 0x4F || len(aid) < 5 || len(aid) > 16 {
		return nil, apdu.SWWrongData
	}
	if !s.d.instance().Privileges.authorized() {
		return nil, apdu.SWConditionsNotSatisfied
	}
	related := c.P2 == deleteRelated
	if s.r.loadFile(apdu.AID(aid)) != nil {
		return noReceipt, s.deleteInstancesOf(apdu.AID(aid), related)
	}
	return noReceipt, s.deleteInstance(apdu.AID(aid), related)
}

// deleteInstance deletes an instance, and with it, if it is a domain and the
// command says so, all that is associated with it.
func (s *session) deleteInstance(aid apdu.AID, related bool) error {
	in := s.r.instance(aid)
	if in == nil || aid != ISD && !s.d.manages(in) {
		return apdu.SWReferencedDataNotFound
	}
	gone := s.r.dependents(in)
	if aid == ISD || len(gone) > 1 && !related {
		return apdu.SWConditionsNotSatisfied
	}
	return s.r.remove(gone)
}

// dependents are an instance and all that is under it.
func (r *Registry) dependents(in *Instance) []*Instance {
	all := []*Instance{in}
	for _, other := range r.instances {
		if other != in && r.under(other, in.AID) {
			all = append(all, other)
		}
	}
	return all
}

// deleteInstancesOf deletes the instances of a load file that are this
// domain's to manage, and what is under them. The load file stays.
func (s *session) deleteInstancesOf(pkg apdu.AID, related bool) error {
	if !related {
		return apdu.SWConditionsNotSatisfied
	}
	var gone []*Instance
	for _, in := range s.r.instances {
		if in.AID == ISD || in.Package != pkg {
			continue
		}
		if !s.d.manages(in) {
			return apdu.SWConditionsNotSatisfied
		}
		for _, dependent := range s.r.dependents(in) {
			if !slices.Contains(gone, dependent) {
				gone = append(gone, dependent)
			}
		}
	}
	return s.r.remove(gone)
}

// remove deletes instances, none of which may be selected on any channel.
func (r *Registry) remove(gone []*Instance) error {
	for _, in := range gone {
		if in.Selections > 0 {
			return apdu.SWConditionsNotSatisfied
		}
	}
	err := r.change(func() error {
		r.instances = slices.DeleteFunc(slices.Clone(r.instances), func(in *Instance) bool {
			return slices.Contains(gone, in)
		})
		return nil
	})
	if err != nil {
		return err
	}
	for _, in := range gone {
		in.wipe()
	}
	return nil
}

// deleteKeys deletes one key set, named by its version (11.2.2.3.2). A single
// key cannot go, since the set would be of no use; nor can the issuer's last.
func (s *session) deleteKeys(objects []apdu.TLV) error {
	if len(objects) != 1 {
		return apdu.SWConditionsNotSatisfied
	}
	if objects[0].Tag != 0xD2 {
		return apdu.SWConditionsNotSatisfied
	}
	if len(objects[0].Value) != 1 || objects[0].Value[0] == 0 {
		return apdu.SWWrongData
	}
	i := s.d.set(objects[0].Value[0])
	switch {
	case i < 0:
		return apdu.SWReferencedDataNotFound
	case s.d.issuer() && len(s.d.sets) == 1:
		return apdu.SWConditionsNotSatisfied
	}
	old := s.d.sets[i]
	err := s.r.change(func() error {
		s.d.sets = slices.Delete(slices.Clone(s.d.sets), i, i+1)
		return nil
	})
	if err == nil {
		old.wipe()
	}
	return err
}
