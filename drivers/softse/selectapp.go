package softse

import (
	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/gp"
)

// Codes of SELECT (ISO/IEC 7816-4, 11.2.2).
const (
	selectByName = 0x04 // P1
	selectFirst  = 0x00 // P2, bits 1 and 2
	selectNext   = 0x02
	selectFCI    = 0x00 // P2, bits 3 and 4
	selectNoData = 0x0C
)

// selectByAID is SELECT by DF name (GlobalPlatform Card Specification 2.3.1,
// 6.4.1 and 11.9): the first application, or the next one after that which is
// selected, whose AID begins with the data field. An empty data field means
// the issuer security domain.
func (c *Card) selectByAID(ch *channel, cmd apdu.Command) apdu.Response {
	occurrence, control := cmd.P2&0x03, cmd.P2&0x0C
	if cmd.P2 > 0x0F || occurrence != selectFirst && occurrence != selectNext || control != selectFCI && control != selectNoData {
		return apdu.Response{SW: apdu.SWIncorrectP1P2}
	}
	in, sw := c.wanted(ch, apdu.AID(cmd.Data), occurrence == selectNext)
	if in == nil {
		return apdu.Response{SW: sw}
	}
	fci, warning, err := ch.choose(in)
	if err != nil {
		return apdu.Response{SW: refusal(err)}
	}
	if warning != apdu.SWSuccess {
		sw = warning
	}
	if control == selectNoData {
		fci = nil
	}
	return apdu.Response{Data: fci, SW: sw}
}

// wanted is the instance to be selected and the status word of the selection,
// or nil and that of its refusal. A locked card selects the issuer security
// domain alone and warns; a terminated one selects nothing.
func (c *Card) wanted(ch *channel, aid apdu.AID, next bool) (*gp.Instance, apdu.SW) {
	var in *gp.Instance
	switch {
	case len(aid) == 0 && !next:
		in = c.registry.Issuer()
	case next:
		in = c.registry.Find(aid, ch.instance)
	default:
		in = c.registry.Find(aid, nil)
	}
	switch {
	case c.registry.Terminated(), in == nil && c.registry.Locked():
		return nil, apdu.SWFunctionNotSupported
	case in == nil:
		return nil, apdu.SWFileNotFound
	case c.registry.Locked():
		return in, apdu.SWSelectedInvalidated
	}
	return in, apdu.SWSuccess
}
