package cardsim

import (
	"time"

	"github.com/cloud-of-se/tses/apdu"
)

// choose takes a character of a PPS request: PPSS, PPS0, PPS1 to PPS3 as PPS0
// says, PCK (ISO/IEC 7816-3, 9.2).
func (c *card) choose(now time.Duration, b byte, bad bool) {
	if bad {
		c.fallSilent() // 9.3: an erroneous request is not answered
		return
	}
	c.pps = append(c.pps, b)
	if len(c.pps) < 2 {
		return
	}
	size := 3
	for bit := byte(0x10); bit <= 0x40; bit <<= 1 {
		if c.pps[1]&bit != 0 {
			size++
		}
	}
	if len(c.pps) == size {
		c.answerPPS()
	}
}

func (c *card) answerPPS() {
	request, rate := c.pps, byte(0x11)
	var sum byte
	for _, b := range request {
		sum ^= b
	}
	protocol := int(request[1] & 0x0F)
	if sum != 0 || !c.atr.Offers(protocol) || c.opts.PPS == Silent {
		c.fallSilent()
		return
	}
	response := []byte{0xFF, byte(protocol)}
	if request[1]&0x10 != 0 && c.opts.PPS != RefusesRate && c.takes(request[2]) {
		rate = request[2]
		response[1] |= 0x10
		response = append(response, rate)
	}
	if c.opts.PPS == Lies {
		response = []byte{0xFF, byte(protocol) | 0x10, 0x18}
	}
	var check byte
	for _, b := range response {
		check ^= b
	}
	if c.opts.PPS == Garbles {
		check ^= 0x55
	}
	c.send(after(c.received, 16, c.etu), append(response, check))
	c.protocol = protocol
	if c.opts.OnlyT0 {
		c.protocol = 0
	}
	c.setRate(apdu.ParseRate(rate))
	c.speak()
}

// takes tells whether a rate lies between the default and that of TA(1).
func (c *card) takes(code byte) bool {
	asked, top := apdu.ParseRate(code), c.atr.Rate()
	return asked.Di > 0 && asked.Di <= top.Di && (asked.Fi == top.Fi || asked.Fi == 372)
}
