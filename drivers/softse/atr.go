package softse

// historical are the historical bytes (ISO/IEC 7816-4, 12.1.1): category 80,
// then compact-TLV objects. The last byte of the card capabilities is put in
// by [buildATR].
//
//	31 C1        card service data: selection by full and by partial DF name, no MF
//	73 C0 01 xx  card capabilities: the same; data units of one byte; xx below
//	64 ....      pre-issuing data: "TSES"
var historical = [...]byte{0x80, 0x31, 0xC1, 0x73, 0xC0, 0x01, 0x00, 0x64, 'T', 'S', 'E', 'S'}

const (
	capabilityByte = 6    // where xx stands
	capChaining    = 0x80 // command chaining
	capExtended    = 0x40 // extended Lc and Le
	capChannels    = 0x1B // channel numbers assigned by the card or by the terminal, 4 channels
)

// buildATR is the answer to reset (ISO/IEC 7816-3, 8.2): T=0 alone, or T=1
// with the largest information field (IFSC 254) and TCK.
func buildATR(t0 bool) []byte {
	h := historical
	if t0 {
		h[capabilityByte] = capChaining | capChannels
		return append([]byte{0x3B, byte(len(h))}, h[:]...)
	}
	h[capabilityByte] = capChaining | capExtended | capChannels
	atr := []byte{0x3B, 0x80 | byte(len(h)), 0x81, 0x31, 0xFE, 0x45}
	atr = append(atr, h[:]...)
	var tck byte
	for _, b := range atr[1:] {
		tck ^= b
	}
	return append(atr, tck)
}
