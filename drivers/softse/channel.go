package softse

import (
	"errors"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/gp"
)

// Channels is the number of logical channels, the basic one included.
const Channels = 4

// channel is one logical channel (ISO/IEC 7816-4, 5.4).
type channel struct {
	open      bool
	instance  *gp.Instance     // nil where nothing is selected
	selection applet.Selection // of instance
	chain     chain
	pending   pending
}

// choose selects an instance, instead of the one that is. Where it refuses
// nothing has changed. A status word other than 9000 is its warning.
func (ch *channel) choose(in *gp.Instance) (fci []byte, sw apdu.SW, err error) {
	if s, ok := ch.selection.(applet.Reselecter); ok && ch.instance == in {
		ch.chain.drop()
		ch.pending.drop()
		fci, err := s.Reselect()
		return fci, apdu.SWSuccess, err
	}
	s, fci, err := in.App.Select()
	if s == nil || err != nil && !errors.As(err, &sw) {
		return nil, 0, err
	}
	if err == nil {
		sw = apdu.SWSuccess
	}
	ch.deselect()
	in.Selections++
	ch.instance, ch.selection = in, s
	return fci, sw, nil
}

// deselect leaves nothing selected.
func (ch *channel) deselect() {
	ch.chain.drop()
	ch.pending.drop()
	if ch.instance == nil {
		return
	}
	ch.selection.Close()
	ch.instance.Selections--
	ch.instance, ch.selection = nil, nil
}

func (ch *channel) close() {
	ch.deselect()
	ch.open = false
}

func (c *Card) closeChannels() {
	for i := range c.channels {
		c.channels[i].close()
	}
}

// agree ends the selections of instances that the registry does not let be
// selected any more, after a command that changed it.
func (c *Card) agree() {
	g := c.registry.Generation()
	if g == c.seen {
		return
	}
	c.seen = g
	for i := range c.channels {
		ch := &c.channels[i]
		if ch.instance != nil && !c.registry.Selectable(ch.instance) {
			ch.deselect()
		}
	}
}

// Codes of MANAGE CHANNEL (ISO/IEC 7816-4, 11.1.2).
const (
	channelOpen  = 0x00 // P1
	channelClose = 0x80
)

// swNotOpen warns that the channel to be closed is closed already.
const swNotOpen apdu.SW = 0x6200

func (c *Card) manageChannel(origin int, cmd apdu.Command) apdu.Response {
	if len(cmd.Data) > 0 {
		return apdu.Response{SW: apdu.SWWrongLength}
	}
	if c.registry.Locked() {
		return apdu.Response{SW: apdu.SWFunctionNotSupported}
	}
	switch cmd.P1 {
	case channelOpen:
		return c.openChannel(origin, int(cmd.P2))
	case channelClose:
		return c.closeChannel(origin, int(cmd.P2))
	}
	return apdu.Response{SW: apdu.SWIncorrectP1P2}
}

// openChannel opens channel number, or the first free one where it is 0. What
// is selected on it is the default application, or, opened from another
// channel than the basic one, the application of that.
func (c *Card) openChannel(origin, number int) apdu.Response {
	n := number
	if number == 0 {
		for n = 1; n < Channels && c.channels[n].open; n++ {
		}
	}
	if n >= Channels || c.channels[n].open {
		return apdu.Response{SW: apdu.SWFunctionNotSupported}
	}
	in := c.registry.Default()
	if origin != 0 {
		in = c.channels[origin].instance
	}
	if in != nil {
		if _, _, err := c.channels[n].choose(in); err != nil {
			return apdu.Response{SW: refusal(err)}
		}
	}
	c.channels[n].open = true
	if number != 0 {
		return apdu.Response{SW: apdu.SWSuccess}
	}
	return apdu.Response{Data: []byte{byte(n)}, SW: apdu.SWSuccess}
}

// closeChannel closes channel number, or the one that the command came on
// where it is 0. The basic channel is never closed.
func (c *Card) closeChannel(origin, number int) apdu.Response {
	if number == 0 {
		number = origin
	}
	if number == 0 || number >= Channels {
		return apdu.Response{SW: apdu.SWFunctionNotSupported}
	}
	if !c.channels[number].open {
		return apdu.Response{SW: swNotOpen}
	}
	c.channels[number].close()
	return apdu.Response{SW: apdu.SWSuccess}
}

// refusal is the status word for an error of [applet.Application.Select].
func refusal(err error) apdu.SW {
	var sw apdu.SW
	if errors.As(err, &sw) {
		return sw
	}
	return apdu.SWUnknown
}
