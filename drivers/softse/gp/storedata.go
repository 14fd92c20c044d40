package gp

import (
	"bytes"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// P1 of STORE DATA (GlobalPlatform Card Specification 2.3.1, table 11-88).
const (
	storeLast      = 0x80
	storeEncrypted = 0x60
	storeDGI       = 0x08
	storeTLV       = 0x10
	storeFormat    = storeDGI | storeTLV
)

// maxStored bounds the data of STORE DATA blocks that belong together.
const maxStored = 4096

// forPersonalization makes the STORE DATA commands that follow go to an
// application (11.5.2.3.6).
func (s *session) forPersonalization(data []byte) error {
	f := &fields{b: data}
	f.empty()
	f.empty()
	aid := f.aid()
	f.empty()
	f.empty()
	f.empty()
	if err := f.end(); err != nil {
		return err
	}
	in := s.r.instance(aid)
	if in == nil || !s.d.manages(in) {
		return apdu.SWReferencedDataNotFound
	}
	if _, ok := in.App.(applet.Personalizer); !ok || !in.State.selectable() {
		return apdu.SWConditionsNotSatisfied
	}
	s.target = aid
	return nil
}

// storeData is STORE DATA, for the application that INSTALL [for
// personalization] named or for the domain itself.
func (s *session) storeData(c apdu.Command) error {
	if int(c.P2) != s.nextData {
		s.resetStore()
		return apdu.SWIncorrectP1P2
	}
	err := s.storeBlock(c)
	if err != nil || c.P1&storeLast != 0 {
		s.resetStore()
		return err
	}
	s.nextData = (s.nextData + 1) & 0xFF
	return nil
}

func (s *session) storeBlock(c apdu.Command) error {
	if s.target != "" {
		return s.r.personalize(s.target, c)
	}
	if c.P1&storeEncrypted != 0 || c.P1&storeFormat != storeTLV && c.P1&storeFormat != 0 {
		return apdu.SWFunctionNotSupported
	}
	if len(s.stored)+len(c.Data) > maxStored {
		return apdu.SWNotEnoughMemory
	}
	s.stored = append(s.stored, c.Data...)
	if c.P1&storeLast == 0 {
		return nil
	}
	return s.setObjects(s.stored)
}

// setObjects sets the domain's data objects: IIN, CIN and URL.
func (s *session) setObjects(b []byte) error {
	objects, err := apdu.ParseTLVs(b)
	if err != nil || len(objects) == 0 {
		return apdu.SWWrongData
	}
	return s.r.change(func() error {
		for _, o := range objects {
			if len(o.Value) == 0 || len(o.Value) > maxObject {
				return apdu.SWWrongData
			}
			value := bytes.Clone(o.Value)
			switch o.Tag {
			case tagIIN:
				s.d.iin = value
			case tagCIN:
				s.d.cin = value
			case tagURL:
				s.d.url = value
			default:
				return apdu.SWReferencedDataNotFound
			}
		}
		return nil
	})
}

// personalize hands one STORE DATA command to an application, and makes it
// again as it was where the result cannot be saved. After the last one the
// application is personalized.
func (r *Registry) personalize(aid apdu.AID, c apdu.Command) error {
	in := r.instance(aid)
	if in == nil {
		return apdu.SWReferencedDataNotFound
	}
	p, ok := in.App.(applet.Personalizer)
	if !ok || !r.Selectable(in) || in.Selections > 0 {
		return apdu.SWConditionsNotSatisfied
	}
	before, err := in.App.Save()
	if err != nil {
		return apdu.SWExecutionError
	}
	err = r.change(func() error {
		if answer := p.Personalize(c); answer.SW != apdu.SWSuccess {
			return answer.SW
		}
		if c.P1&storeLast != 0 && in.State == AppReady {
			in.State = Personalized
		}
		return nil
	})
	if err == nil {
		clear(before)
		return nil
	}
	app, loadErr := r.module(in.Package, in.Module).Load(r, aid, before)
	if loadErr != nil {
		return apdu.SWExecutionError
	}
	in.App = app
	return err
}
