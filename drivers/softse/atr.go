package softse

import "github.com/cloud-of-se/tses/apdu"

// Values in the historical bytes (ISO/IEC 7816-4, 12.1.1).
const (
	serviceData     = 0xC1 // selection by full and by partial DF name; no MF
	dataUnitOfAByte = 0x01 // data coding byte
)

// buildATR is the answer to reset (ISO/IEC 7816-3, 8.2): T=0 alone, or T=1
// with the largest information field. The historical bytes tell what the card
// can do, and that it is a TSES's.
func buildATR(t0 bool) ([]byte, error) {
	can := apdu.CardCapabilities{
		Selection: apdu.SelectByFullName | apdu.SelectByPartialName,
		Coding:    dataUnitOfAByte,
		Features:  apdu.CommandChaining | apdu.ChannelNumberByCard | apdu.ChannelNumberByTerminal | (Channels - 1),
	}
	if !t0 {
		can.Features |= apdu.ExtendedLength
	}
	historical, err := apdu.Historical{Category: 0x80, Objects: []apdu.CompactTLV{
		{Tag: apdu.CompactServiceData, Value: []byte{serviceData}},
		can.TLV(),
		{Tag: apdu.CompactPreIssuingData, Value: []byte("TSES")},
	}}.Bytes()
	if err != nil {
		return nil, err
	}
	if t0 {
		return apdu.NewATR(historical, 0).Bytes()
	}
	atr := apdu.NewATR(historical, 1, 1)    // T=1 in TD(1), its parameters behind TD(2)
	atr.Groups[2].TA = apdu.Interface(254)  // IFSC
	atr.Groups[2].TB = apdu.Interface(0x45) // BWI 4, CWI 5
	return atr.Bytes()
}
