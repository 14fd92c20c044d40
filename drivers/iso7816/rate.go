package iso7816

import (
	"math"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"periph.io/x/conn/v3/physic"
)

// defaultRate is Fd and Dd as TA(1) codes them (ISO/IEC 7816-3, 8.1).
const defaultRate = 0x11

// byDi are the codes of Di, the fastest first.
var byDi = [...]byte{7, 6, 9, 5, 8, 4, 3, 2, 1}

// hertz is f as a number.
func hertz(f physic.Frequency) float64 { return float64(f) / float64(physic.Hertz) }

// clocks is the time that n clock cycles take, rounded up.
func clocks(n int, f physic.Frequency) time.Duration {
	return time.Duration(math.Ceil(float64(n) / hertz(f) * float64(time.Second)))
}

// etuOf is the elementary time unit, Fi/Di clocks, in seconds.
func etuOf(r apdu.Rate, f physic.Frequency) float64 {
	return float64(r.Fi) / float64(r.Di) / hertz(f)
}

// bitRate is the rate of a UART for that etu. Linux takes whole numbers only.
func bitRate(r apdu.Rate, f physic.Frequency) int { return int(math.Round(1 / etuOf(r, f))) }

// offers are the rates that PPS may ask a card for whose TA(1) is given, the
// fastest first (ISO/IEC 7816-3, 9.3: Dd <= D <= Di; F is left at Fi, as cards
// know no other). The default is not among them.
func offers(ta1 byte, f physic.Frequency, maxRate int) []byte {
	top := apdu.ParseRate(ta1)
	if top.Fi == 0 || top.Di == 0 || hertz(f) > float64(top.FMax) {
		return nil
	}
	slowest := bitRate(apdu.ParseRate(defaultRate), f)
	var codes []byte
	for _, di := range byDi {
		code := ta1&0xF0 | di
		rate := apdu.ParseRate(code)
		if n := bitRate(rate, f); rate.Di <= top.Di && n > slowest && (maxRate == 0 || n <= maxRate) {
			codes = append(codes, code)
		}
	}
	return codes
}
