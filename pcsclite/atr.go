package pcsclite

// protocolsOf reads which of T=0 and T=1 an answer to reset offers and which
// comes first (ISO/IEC 7816-3, 8.2.3). One that names none offers T=0; bytes
// that are missing end the search, for a card with an odd ATR is still a card.
func protocolsOf(atr []byte) (offered, first Protocol) {
	if len(atr) < 2 {
		return T0, T0
	}
	y, i := atr[1]>>4, 2
	for {
		for _, bit := range []byte{1, 2, 4} { // TA, TB, TC
			if y&bit != 0 {
				i++
			}
		}
		if y&8 == 0 || i >= len(atr) { // no TD
			break
		}
		var p Protocol
		switch atr[i] & 0x0F {
		case 0:
			p = T0
		case 1:
			p = T1
		}
		if first == 0 {
			first = p
		}
		offered |= p
		y, i = atr[i]>>4, i+1
	}
	if first == 0 {
		return offered | T0, T0
	}
	return offered, first
}

// choose picks the protocol of a connection. What crosses the socket are
// APDUs, whatever the chip speaks: where the ATR offers nothing that the
// program asks for, the program has its way. 0 is a request for neither.
func choose(atr []byte, asked Protocol) Protocol {
	if asked&anyOld != 0 {
		asked |= ProtocolAny
	}
	offered, first := protocolsOf(atr)
	switch both := offered & asked; {
	case asked&first != 0:
		return first
	case both&T1 != 0, both == 0 && asked&T1 != 0:
		return T1
	case asked&T0 != 0:
		return T0
	}
	return 0
}
