package apdu

import "fmt"

// Bounds of a command and of a response APDU in bytes (ISO/IEC 7816-4, 5.1).
const (
	MinCommand  = 4                 // CLA INS P1 P2
	MaxCommand  = 4 + 3 + 65535 + 2 // case 4 extended with the longest data field: 65,544
	MaxResponse = 65536 + 2         // the longest data field and the status word
	maxShortNc  = 255               // Lc is one byte, 01 to FF
	maxShortNe  = 256               // Le 00 stands for 256
	maxNc       = 65535             // extended Lc
	maxNe       = 65536             // extended Le 0000 stands for 65,536
)

// INS bytes of interindustry commands (ISO/IEC 7816-4, table 4) and of
// GlobalPlatform commands (Card Specification 2.3.1, table 11-2). Several
// numbers mean one thing in the interindustry and another in the proprietary
// class; the names say which.
const (
	INSManageChannel        = 0x70
	INSVerify               = 0x20
	INSGetChallenge         = 0x84
	INSSelect               = 0xA4
	INSReadBinary           = 0xB0
	INSGetResponse          = 0xC0
	INSEnvelope             = 0xC2
	INSGetData              = 0xCA
	INSInitializeUpdate     = 0x50 // GlobalPlatform
	INSExternalAuthenticate = 0x82
	INSPutKey               = 0xD8 // GlobalPlatform
	INSStoreData            = 0xE2 // GlobalPlatform
	INSDelete               = 0xE4 // GlobalPlatform
	INSInstall              = 0xE6 // GlobalPlatform
	INSLoad                 = 0xE8 // GlobalPlatform
	INSSetStatus            = 0xF0 // GlobalPlatform
	INSGetStatus            = 0xF2 // GlobalPlatform
)

// Command is one command APDU (ISO/IEC 7816-4, 5.1).
type Command struct {
	CLA, INS, P1, P2 byte

	// Data is the command data field of Nc bytes, 0 to 65,535. [Parse] does
	// not copy: it aliases the parsed bytes.
	Data []byte

	// Ne is the largest number of response data bytes that is expected, 0
	// (no Le field) to 65,536. Le 00 reads as 256, extended Le 0000 as 65,536.
	Ne int

	// Extended tells that the length fields are, or are to be, in extended
	// form. [Command.Append] uses it too where Nc or Ne need it.
	Extended bool
}

// Parse reads one command APDU of case 1, 2, 3 or 4, short or extended
// (ISO/IEC 7816-4, 5.1), and refuses everything else: a length field that
// disagrees with the bytes present, an extended Lc of zero, bytes left over.
// The errors match [ErrMalformed] and say which field is wrong.
func Parse(b []byte) (Command, error) {
	if len(b) < MinCommand {
		return Command{}, malformed("APDU", "%d bytes, the header CLA INS P1 P2 needs 4", len(b))
	}
	if len(b) > MaxCommand {
		return Command{}, malformed("APDU", "%d bytes, an extended APDU has at most %d", len(b), MaxCommand)
	}
	c := Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3]}
	body := b[4:]
	switch {
	case len(body) == 0: // case 1
		return c, nil
	case len(body) == 1: // case 2 short
		c.Ne = shortNe(body[0])
		return c, nil
	case body[0] != 0:
		return c.parseShort(body)
	default:
		c.Extended = true
		return c.parseExtended(body)
	}
}

// parseShort reads cases 3 and 4 with a one-byte Lc.
func (c Command) parseShort(body []byte) (Command, error) {
	nc := int(body[0])
	switch len(body) - 1 - nc {
	case 0:
		c.Data = body[1:]
	case 1:
		c.Data, c.Ne = body[1:1+nc:1+nc], shortNe(body[1+nc])
	default:
		return Command{}, malformed("APDU", "Lc says %d data bytes, %d follow it; an Le of one byte may come after the data", nc, len(body)-1)
	}
	return c, nil
}

// parseExtended reads cases 2, 3 and 4 whose first length byte is 00.
func (c Command) parseExtended(body []byte) (Command, error) {
	if len(body) < 3 {
		return Command{}, malformed("APDU", "an extended length field needs 3 bytes, %d are there", len(body))
	}
	n := int(body[1])<<8 | int(body[2])
	if len(body) == 3 { // case 2 extended
		c.Ne = extendedNe(n)
		return c, nil
	}
	if n == 0 {
		return Command{}, malformed("APDU", "extended Lc is 0 and %d bytes follow it", len(body)-3)
	}
	switch len(body) - 3 - n {
	case 0:
		c.Data = body[3:]
	case 2:
		le := body[3+n:]
		c.Data, c.Ne = body[3:3+n:3+n], extendedNe(int(le[0])<<8|int(le[1]))
	default:
		return Command{}, malformed("APDU", "extended Lc says %d data bytes, %d follow it; an Le of two bytes may come after the data", n, len(body)-3)
	}
	return c, nil
}

func shortNe(le byte) int {
	if le == 0 {
		return maxShortNe
	}
	return int(le)
}

func extendedNe(le int) int {
	if le == 0 {
		return maxNe
	}
	return le
}

// Append encodes the command behind dst and returns the longer slice. The
// extended form is used where c.Extended asks for it or a length needs it. A
// Nc or Ne out of its range is an error that matches [ErrMalformed].
func (c Command) Append(dst []byte) ([]byte, error) {
	nc := len(c.Data)
	if nc > maxNc || c.Ne < 0 || c.Ne > maxNe {
		return dst, malformed("APDU", "Nc %d, Ne %d; the most are %d and %d", nc, c.Ne, maxNc, maxNe)
	}
	dst = append(dst, c.CLA, c.INS, c.P1, c.P2)
	if nc > maxShortNc || c.Ne > maxShortNe || c.Extended && nc+c.Ne > 0 {
		return c.appendExtended(dst), nil
	}
	if nc > 0 {
		dst = append(append(dst, byte(nc)), c.Data...)
	}
	if c.Ne > 0 {
		dst = append(dst, byte(c.Ne)) // 256 becomes 00
	}
	return dst, nil
}

func (c Command) appendExtended(dst []byte) []byte {
	nc := len(c.Data)
	dst = append(dst, 0)
	if nc > 0 {
		dst = append(append(dst, byte(nc>>8), byte(nc)), c.Data...)
	}
	if c.Ne > 0 {
		dst = append(dst, byte(c.Ne>>8), byte(c.Ne)) // 65,536 becomes 0000
	}
	return dst
}

// Bytes is [Command.Append] to a new slice.
func (c Command) Bytes() ([]byte, error) {
	return c.Append(make([]byte, 0, MinCommand+3+len(c.Data)+2))
}

// Case is the command's case, 1 to 4: neither, only Le, only data, both
// (ISO/IEC 7816-4, 5.1).
func (c Command) Case() int {
	n := 1
	if len(c.Data) > 0 {
		n += 2
	}
	if c.Ne > 0 {
		n++
	}
	return n
}

// String shows the header and the lengths and never the data, which may be a
// PIN or a key.
func (c Command) String() string {
	return fmt.Sprintf("%02X %02X %02X %02X Nc=%d Ne=%d", c.CLA, c.INS, c.P1, c.P2, len(c.Data), c.Ne)
}
