package pcsc

import (
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
)

// maxT0 is the most command data that T=0 takes.
const maxT0 = 255

// forT0 maps a command APDU to the TPDU that T=0 sends (ISO/IEC 7816-3, 12.2):
// always a header of five bytes. Readers that work at the level of TPDUs send
// what they are given, so it has to be right here. Data that the command asks
// for and the TPDU cannot have arrive by GET RESPONSE, after 61XX.
func forT0(command []byte) ([]byte, error) {
	c, err := apdu.Parse(command)
	if err != nil {
		return nil, err
	}
	tpdu := []byte{c.CLA, c.INS, c.P1, c.P2, 0}
	switch {
	case len(c.Data) > maxT0:
		return nil, fmt.Errorf("%d bytes of data; the card speaks T=0, which takes %d: send them in a chain of commands, or by ENVELOPE", len(c.Data), maxT0)
	case len(c.Data) > 0: // the cases 3 and 4 are one
		tpdu[4] = byte(len(c.Data))
		tpdu = append(tpdu, c.Data...)
	case c.Ne < 256: // case 1, and case 2; 256 and more are 00
		tpdu[4] = byte(c.Ne)
	}
	return tpdu, nil
}
