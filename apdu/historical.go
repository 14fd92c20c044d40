package apdu

// Historical are historical bytes in the form of ISO/IEC 7816-4, 12.1.1.
type Historical struct {
	// Category is the category indicator: 00 and 80 are followed by
	// compact-TLV data objects, every other one by bytes in Proprietary.
	Category byte

	// Objects are the compact-TLV data objects.
	Objects []CompactTLV

	// Trailer is, with category 00, the status indicator that closes it: life
	// cycle status and status word, 3 bytes. With category 80 the status is
	// among the Objects. [Historical.Status] reads either.
	Trailer []byte

	// Proprietary is what follows another category; with 10 it is the DIR
	// data reference.
	Proprietary []byte
}

// CompactTLV is a compact-TLV data object: tag X, 0 to 15, stands for the
// interindustry tag 4X (ISO/IEC 7816-4, 12.1.1.2).
type CompactTLV struct {
	Tag   byte
	Value []byte // 0 to 15 bytes; [ParseHistorical] does not copy
}

// Tags of compact-TLV data objects in historical bytes (ISO/IEC 7816-4,
// 12.1.1).
const (
	CompactCountryCode      = 0x1
	CompactIssuer           = 0x2
	CompactServiceData      = 0x3
	CompactInitialAccess    = 0x4
	CompactCardIssuerData   = 0x5
	CompactPreIssuingData   = 0x6
	CompactCardCapabilities = 0x7
	CompactStatus           = 0x8
	CompactApplicationID    = 0xF
)

// ParseHistorical reads historical bytes. Only those of category 00 and 80
// have an inner form, and many cards do not keep to it: the error, which
// matches [ErrMalformed], does not make the answer to reset unusable.
func ParseHistorical(b []byte) (Historical, error) {
	if len(b) == 0 || len(b) > maxHistorical {
		return Historical{}, malformed("historical bytes", "%d bytes, 1 to %d have a category", len(b), maxHistorical)
	}
	h := Historical{Category: b[0]}
	b = b[1:]
	switch h.Category {
	case 0x80:
	case 0x00:
		if len(b) < 3 {
			return Historical{}, malformed("historical bytes", "category 00 needs a status indicator of 3 bytes, %d are there", len(b))
		}
		h.Trailer, b = b[len(b)-3:], b[:len(b)-3]
	default:
		h.Proprietary = b
		return h, nil
	}
	for len(b) > 0 {
		n := int(b[0] & 0x0F)
		if n > len(b)-1 {
			return Historical{}, malformed("historical bytes", "compact-TLV object %02X announces %d bytes, %d are there", b[0], n, len(b)-1)
		}
		h.Objects = append(h.Objects, CompactTLV{Tag: b[0] >> 4, Value: b[1 : 1+n : 1+n]})
		b = b[1+n:]
	}
	return h, nil
}

// Bytes encodes the historical bytes. The errors match [ErrMalformed].
func (h Historical) Bytes() ([]byte, error) {
	b := []byte{h.Category}
	compact := h.Category == 0x00 || h.Category == 0x80
	if !compact && len(h.Objects)+len(h.Trailer) > 0 || compact && len(h.Proprietary) > 0 {
		return nil, malformed("historical bytes", "fields that category %02X does not have", h.Category)
	}
	want := 0
	if h.Category == 0x00 {
		want = 3
	}
	if len(h.Trailer) != want {
		return nil, malformed("historical bytes", "a status indicator of %d bytes at the end, category %02X has %d", len(h.Trailer), h.Category, want)
	}
	for _, o := range h.Objects {
		if o.Tag > 15 || len(o.Value) > 15 {
			return nil, malformed("historical bytes", "compact-TLV object with tag %X and %d bytes; 15 is the most of both", o.Tag, len(o.Value))
		}
		b = append(append(b, o.Tag<<4|byte(len(o.Value))), o.Value...)
	}
	b = append(append(b, h.Trailer...), h.Proprietary...)
	if len(b) > maxHistorical {
		return nil, malformed("historical bytes", "%d bytes, %d are the most", len(b), maxHistorical)
	}
	return b, nil
}

// Find gives the value of the first data object with the tag.
func (h Historical) Find(tag byte) ([]byte, bool) {
	for _, o := range h.Objects {
		if o.Tag == tag {
			return o.Value, true
		}
	}
	return nil, false
}

// CardStatus is the status indicator (ISO/IEC 7816-4, 12.1.1.11).
type CardStatus struct {
	LifeCycle    byte // ISO/IEC 7816-4, 7.4.10; 0 is no information
	SW           SW   // 0 is no information
	HasLifeCycle bool
	HasSW        bool
}

// Status gives the status indicator; false if there is none.
func (h Historical) Status() (CardStatus, bool) {
	b := h.Trailer
	if b == nil {
		b, _ = h.Find(CompactStatus) // nil is handled below
	}
	switch len(b) {
	case 1:
		return CardStatus{LifeCycle: b[0], HasLifeCycle: true}, true
	case 2:
		return CardStatus{SW: SW(b[0])<<8 | SW(b[1]), HasSW: true}, true
	case 3:
		return CardStatus{LifeCycle: b[0], SW: SW(b[1])<<8 | SW(b[2]), HasLifeCycle: true, HasSW: true}, true
	}
	return CardStatus{}, false
}

// CardCapabilities are the three software function tables (ISO/IEC 7816-4,
// 12.1.1.9). A table that is absent is 0.
type CardCapabilities struct {
	Selection byte // table 1: how files and applications are selected
	Coding    byte // table 2: the data coding byte
	Features  byte // table 3: chaining, extended length, logical channels
}

// Bits of [CardCapabilities.Selection].
const (
	SelectByFullName    = 0x80
	SelectByPartialName = 0x40
	SelectByPath        = 0x20
	SelectByFileID      = 0x10
	SelectImplicitly    = 0x08
	ShortEFIdentifier   = 0x04
	RecordNumber        = 0x02
	RecordIdentifier    = 0x01
)

// Bits of [CardCapabilities.Features]. The three low bits are the number of
// logical channels less one, 7 for eight or more.
const (
	CommandChaining         = 0x80
	ExtendedLength          = 0x40
	ExtendedLengthInEFATR   = 0x20
	ChannelNumberByCard     = 0x10
	ChannelNumberByTerminal = 0x08
)

// Capabilities gives the card capabilities; false if they are absent or not
// of 1 to 3 bytes.
func (h Historical) Capabilities() (CardCapabilities, bool) {
	b, _ := h.Find(CompactCardCapabilities) // nil is handled by its length
	if len(b) < 1 || len(b) > 3 {
		return CardCapabilities{}, false
	}
	var all [3]byte
	copy(all[:], b)
	return CardCapabilities{all[0], all[1], all[2]}, true
}

// TLV is the compact-TLV data object with all three tables.
func (c CardCapabilities) TLV() CompactTLV {
	return CompactTLV{Tag: CompactCardCapabilities, Value: []byte{c.Selection, c.Coding, c.Features}}
}

// Channels is the number of logical channels, the basic one included; 8 is 8
// or more. Without a way to assign channel numbers it is 1.
func (c CardCapabilities) Channels() int {
	if c.Features&(ChannelNumberByCard|ChannelNumberByTerminal) == 0 {
		return 1
	}
	return int(c.Features&0x07) + 1
}
