package wifi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Elements of a beacon (IEEE Std 802.11-2020, table 9-92).
const (
	elementSSID   = 0
	elementRSN    = 48
	elementVendor = 221 // and a KDE in key data
	elementRSNX   = 244
)

// suite selects a cipher or a key management: an OUI and a type (IEEE Std
// 802.11-2020, 9.4.2.24.2 and 9.4.2.24.3).
type suite uint32

const (
	cipherTKIP suite = 0x000FAC02
	cipherCCMP suite = 0x000FAC04

	akm8021X   suite = 0x000FAC01
	akmPSK     suite = 0x000FAC02
	akm8021Xt5 suite = 0x000FAC05 // with SHA-256
	akmSAE     suite = 0x000FAC08
	akmSAEt24  suite = 0x000FAC18 // its group-dependent hash

	wpa1 suite = 0x0050F201 // begins the vendor's element of WPA's first version
)

// eachElement calls f for the elements, each with its header, and returns what
// is left: nothing, or what is no whole element.
func eachElement(b []byte, f func(id byte, element []byte)) (rest []byte) {
	for len(b) >= 2 {
		end := 2 + int(b[1])
		if end > len(b) {
			break
		}
		f(b[0], b[:end])
		b = b[end:]
	}
	return b
}

// rsn is what an access point's RSN element says (IEEE Std 802.11-2020, 9.4.2.24).
type rsn struct {
	group    suite
	pairwise []suite
	akms     []suite
	caps     uint16
}

// capPMFRequired is a bit of the capabilities: MFPR.
const capPMFRequired = 1 << 6

var errRSN = errors.New("malformed RSN element")

// parseRSN reads an element with its two bytes of header. All fields behind the
// version may be missing; then they have the standard's defaults.
func parseRSN(element []byte) (rsn, error) {
	r := rsn{group: cipherCCMP, pairwise: []suite{cipherCCMP}, akms: []suite{akm8021X}}
	if len(element) < 4 || element[0] != elementRSN || int(element[1]) != len(element)-2 {
		return rsn{}, errRSN
	}
	b := element[2:]
	if v := binary.LittleEndian.Uint16(b); v != 1 {
		return rsn{}, fmt.Errorf("%w: version %d", errRSN, v)
	}
	if b = b[2:]; len(b) == 0 {
		return r, nil
	}
	if len(b) < 4 {
		return rsn{}, errRSN
	}
	r.group = suite(binary.BigEndian.Uint32(b))
	b = b[4:]
	for _, list := range []*[]suite{&r.pairwise, &r.akms} {
		if len(b) == 0 {
			return r, nil
		}
		var ok bool
		if *list, b, ok = suites(b); !ok {
			return rsn{}, errRSN
		}
	}
	switch {
	case len(b) == 0:
		return r, nil
	case len(b) < 2:
		return rsn{}, errRSN
	}
	r.caps = binary.LittleEndian.Uint16(b)
	return r, nil // PMKIDs and the group management cipher are nothing to us
}

// suites reads a list with its length before it.
func suites(b []byte) (list []suite, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.LittleEndian.Uint16(b))
	b = b[2:]
	if n > len(b)/4 {
		return nil, nil, false
	}
	for range n {
		list = append(list, suite(binary.BigEndian.Uint32(b)))
		b = b[4:]
	}
	return list, b, true
}

// ownRSN is the element that the box sends: CCMP and PSK, no capabilities.
func ownRSN() []byte {
	b := []byte{elementRSN, 20, 1, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(cipherCCMP))
	for _, s := range []suite{cipherCCMP, akmPSK} {
		b = binary.BigEndian.AppendUint32(append(b, 1, 0), uint32(s))
	}
	return append(b, 0, 0)
}

// bss is an access point that was heard.
type bss struct {
	address   address
	frequency uint32 // MHz
	signal    int32  // hundredths of dBm
	privacy   bool   // it encrypts, in whichever way
	ssid      string // as it came: up to 32 bytes of anything
	rsn       []byte // the whole element, nil where there is none
	rsnx      []byte // likewise
	wpa1      bool   // it has WPA's first version
}

// readElements takes what is of interest. The first of a kind counts.
func (b *bss) readElements(elements []byte) {
	seen := false
	eachElement(elements, func(id byte, e []byte) {
		switch {
		case id == elementSSID && !seen && len(e)-2 <= maxSSID:
			b.ssid, seen = string(e[2:]), true
		case id == elementRSN && b.rsn == nil:
			b.rsn = slices.Clone(e)
		case id == elementRSNX && b.rsnx == nil:
			b.rsnx = slices.Clone(e)
		case id == elementVendor && len(e) >= 6 && suite(binary.BigEndian.Uint32(e[2:])) == wpa1:
			b.wpa1 = true
		}
	})
}

// suits tells why the box cannot join the access point, or nil.
func (b *bss) suits(open bool) error {
	if open {
		if b.privacy || b.rsn != nil || b.wpa1 {
			return fmt.Errorf("%w: give the passphrase of %q", ErrNotOpen, b.ssid)
		}
		return nil
	}
	switch {
	case b.rsn != nil:
	case b.wpa1:
		return fmt.Errorf("%w: %q has only the first version of WPA; set its access point to WPA2", ErrTKIP, b.ssid)
	case b.privacy:
		return fmt.Errorf("%w: %q has WEP, which is broken; set its access point to WPA2", ErrUnsupported, b.ssid)
	default:
		return fmt.Errorf("%w: %q; is it the right network?", ErrOpen, b.ssid)
	}
	r, err := parseRSN(b.rsn)
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrUnsupported, b.ssid, err)
	}
	return r.suits(b.ssid)
}

func (r rsn) suits(ssid string) error {
	const wpa2 = "set its access point to WPA2 with AES (CCMP)"
	switch {
	case slices.Contains(r.akms, akmPSK):
	case slices.Contains(r.akms, akmSAE), slices.Contains(r.akms, akmSAEt24):
		return fmt.Errorf("%w: let the access point of %q offer WPA2 too (\"WPA2/WPA3 mixed\")", ErrWPA3Only, ssid)
	case slices.Contains(r.akms, akm8021X), slices.Contains(r.akms, akm8021Xt5):
		return fmt.Errorf("%w: %q is an enterprise network (802.1X); take one with a passphrase", ErrUnsupported, ssid)
	default:
		return fmt.Errorf("%w: %q has the key managements %08X; %s", ErrUnsupported, ssid, bounded(r.akms), wpa2)
	}
	switch {
	case r.caps&capPMFRequired != 0:
		return fmt.Errorf("%w: let the access point of %q have them optional", ErrPMFRequired, ssid)
	case r.group == cipherTKIP:
		return fmt.Errorf("%w: the group cipher of %q; %s alone", ErrTKIP, ssid, wpa2)
	case r.group != cipherCCMP:
		return fmt.Errorf("%w: %q has the group cipher %08X; %s", ErrUnsupported, ssid, uint32(r.group), wpa2)
	case slices.Contains(r.pairwise, cipherCCMP):
		return nil
	case slices.Contains(r.pairwise, cipherTKIP):
		return fmt.Errorf("%w: the pairwise cipher of %q; %s", ErrTKIP, ssid, wpa2)
	default:
		return fmt.Errorf("%w: %q has the pairwise ciphers %08X; %s", ErrUnsupported, ssid, bounded(r.pairwise), wpa2)
	}
}

// bounded is what of a list is shown.
func bounded(list []suite) []suite { return list[:min(len(list), 8)] }

// choose takes the strongest access point of a network that suits. Without one
// it says why the strongest does not.
func choose(heard []bss, n Network) (*bss, error) {
	slices.SortStableFunc(heard, func(a, b bss) int { return int(b.signal) - int(a.signal) })
	var why error
	for i := range heard {
		if heard[i].ssid != n.SSID {
			continue
		}
		err := heard[i].suits(n.Open)
		if err == nil {
			return &heard[i], nil
		}
		if why == nil {
			why = err
		}
	}
	if why != nil {
		return nil, why
	}
	return nil, notHeard(heard, n.SSID)
}

// maxNamed bounds how many networks an error names.
const maxNamed = 10

// notHeard names what was heard instead, the strongest first.
func notHeard(heard []bss, ssid string) error {
	var names []string
	for _, b := range heard {
		// A network that hides its name sends it empty or of zeros.
		name := fmt.Sprintf("%q", b.ssid)
		if b.ssid == "" || b.ssid[0] == 0 || slices.Contains(names, name) {
			continue
		}
		if len(names) == maxNamed {
			names = append(names, "more")
			break
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: %q, nor any other; is an access point near, and is the country right?", ErrNotHeard, ssid)
	}
	return fmt.Errorf("%w: %q; is its name written right? Heard are %v", ErrNotHeard, ssid, names)
}
