package gp

import (
	"bytes"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// P1 and P2 of GET STATUS (GlobalPlatform Card Specification 2.3.1, 11.4.2).
const (
	listIssuer  = 0x80
	listApps    = 0x40
	listFiles   = 0x20
	listModules = 0x10

	listNext = 0x01
	listTLV  = 0x02
)

// loaded is the life cycle state of a load file.
const loaded = 0x01

// page is how many bytes of data one answer has at most, unless a single
// entry is longer: with padding and R-MAC it fits in a short response.
const page = 216

// listing is a GET STATUS of which the host has not seen everything.
type listing struct {
	p1, format byte
	query      []byte
	entries    [][]byte // what remains
}

// getStatus is GET STATUS, in the TLV format and the deprecated one.
func (s *session) getStatus(c apdu.Command) apdu.Response {
	format := c.P2 & listTLV
	switch {
	case c.CLA != 0x80:
		return apdu.Response{SW: apdu.SWClass}
	case s.r.Terminated():
		return apdu.Response{SW: apdu.SWConditionsNotSatisfied}
	case c.P2&^(listTLV|listNext) != 0:
		return apdu.Response{SW: apdu.SWIncorrectP1P2}
	case c.P2&listNext == 0:
		entries, err := s.entries(c.P1, format == listTLV, c.Data)
		if err != nil {
			return apdu.Response{SW: statusOf(err)}
		}
		s.listing = listing{p1: c.P1, format: format, query: bytes.Clone(c.Data), entries: entries}
	case len(s.listing.entries) == 0 || s.listing.p1 != c.P1 || s.listing.format != format || !bytes.Equal(s.listing.query, c.Data):
		return apdu.Response{SW: apdu.SWConditionsNotSatisfied}
	}
	return s.listing.take()
}

// take is one page.
func (l *listing) take() apdu.Response {
	var data []byte
	for len(l.entries) > 0 && (len(data) == 0 || len(data)+len(l.entries[0]) <= page) {
		data = append(data, l.entries[0]...)
		l.entries = l.entries[1:]
	}
	if len(l.entries) > 0 {
		return apdu.Response{Data: data, SW: apdu.SWMoreData}
	}
	*l = listing{}
	return apdu.Response{Data: data, SW: apdu.SWSuccess}
}

// entries are the encoded entries that the query, a search by (partial) AID,
// asks for.
func (s *session) entries(p1 byte, tlv bool, query []byte) (all [][]byte, err error) {
	objects, err := apdu.ParseTLVs(query)
	if err != nil || len(objects) == 0 || objects[0].Tag != 0x4F || len(objects[0].Value) > 16 {
		return nil, apdu.SWWrongData
	}
	search := apdu.AID(objects[0].Value)
	switch p1 {
	case listIssuer:
		if in := s.r.Issuer(); s.d.issuer() && in.AID.Matches(search) {
			all = append(all, s.r.entry(in, tlv))
		}
	case listApps:
		for _, in := range s.r.instances[1:] {
			if in.AID.Matches(search) && (in.AID == s.d.aid || s.d.manages(in)) {
				all = append(all, s.r.entry(in, tlv))
			}
		}
	case listFiles, listModules:
		for i := range s.r.packages {
			if p := &s.r.packages[i]; p.AID.Matches(search) {
				all = append(all, fileEntry(p, tlv, p1 == listModules))
			}
		}
	default:
		return nil, apdu.SWIncorrectP1P2
	}
	if len(all) == 0 {
		return nil, apdu.SWReferencedDataNotFound
	}
	return all, nil
}

// entry is an application or a domain (tables 11-35 and 11-36). The state of
// the issuer security domain is that of the card.
func (r *Registry) entry(in *Instance, tlv bool) []byte {
	state := byte(in.State)
	if in.AID == ISD {
		state = byte(r.card)
	}
	if !tlv {
		b := append([]byte{byte(len(in.AID))}, in.AID...)
		return append(b, state, in.Privileges[0])
	}
	b := apdu.AppendTLV(nil, 0x4F, []byte(in.AID))
	b = apdu.AppendTLV(b, 0x9F70, []byte{state})
	b = apdu.AppendTLV(b, 0xC5, in.Privileges[:])
	if in.AID != ISD {
		b = apdu.AppendTLV(b, 0xC4, []byte(in.Package))
		b = apdu.AppendTLV(b, 0xCC, []byte(in.Domain))
	}
	return apdu.AppendTLV(nil, 0xE3, b)
}

// fileEntry is a load file, with its modules or without.
func fileEntry(p *applet.Package, tlv, modules bool) []byte {
	if !tlv {
		b := append([]byte{byte(len(p.AID))}, p.AID...)
		b = append(b, loaded, 0)
		if modules {
			b = append(b, byte(len(p.Modules)))
			for _, m := range p.Modules {
				b = append(append(b, byte(len(m.AID))), m.AID...)
			}
		}
		return b
	}
	b := apdu.AppendTLV(nil, 0x4F, []byte(p.AID))
	b = apdu.AppendTLV(b, 0x9F70, []byte{loaded})
	b = apdu.AppendTLV(b, 0xCE, []byte{p.Major, p.Minor})
	if modules {
		for _, m := range p.Modules {
			b = apdu.AppendTLV(b, 0x84, []byte(m.AID))
		}
	}
	b = apdu.AppendTLV(b, 0xCC, []byte(ISD))
	return apdu.AppendTLV(nil, 0xE3, b)
}
