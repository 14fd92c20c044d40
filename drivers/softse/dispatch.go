package softse

import (
	"context"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// dispatch executes one command and encodes its answer. An error is what
// Transmit returns; everything that the card itself has to say is an answer.
func (c *Card) dispatch(ctx context.Context, cmd apdu.Command) ([]byte, error) {
	n, sw := c.channelOf(cmd)
	if sw != apdu.SWSuccess {
		return apdu.Response{SW: sw}.Bytes(), nil
	}
	ch := &c.channels[n]
	if answer, ok := ch.pending.again(cmd); ok {
		return answer, nil
	}
	if cmd.INS == apdu.INSGetResponse && !apdu.Class(cmd.CLA).SecureMessaging() {
		return ch.getResponse(cmd, c.t0), nil
	}
	ch.pending.drop()
	whole, sw, more := ch.chain.add(cmd)
	if more || sw != apdu.SWSuccess {
		return apdu.Response{SW: sw}.Bytes(), nil
	}
	r, err := c.execute(ctx, n, whole)
	defer ch.chain.drop() // after the answer, which may lie in the command's data
	if err != nil {
		return nil, err
	}
	answer := ch.answer(whole, r, c.t0)
	c.agree()
	return answer, nil
}

// channelOf is the logical channel of a command whose class this card knows.
func (c *Card) channelOf(cmd apdu.Command) (int, apdu.SW) {
	class := apdu.Class(cmd.CLA)
	switch {
	case cmd.CLA == 0xFF, !class.Further() && cmd.CLA&0x20 != 0:
		return 0, apdu.SWClass
	case class.Further(), !c.channels[class.Channel()].open:
		return 0, apdu.SWLogicalChannel
	case c.t0 && cmd.Extended:
		return 0, apdu.SWWrongLength
	}
	return class.Channel(), apdu.SWSuccess
}

// execute runs a whole command on channel n.
func (c *Card) execute(ctx context.Context, n int, cmd apdu.Command) (apdu.Response, error) {
	ch := &c.channels[n]
	class := apdu.Class(cmd.CLA)
	if !class.Proprietary() && !class.SecureMessaging() {
		switch {
		case cmd.INS == apdu.INSManageChannel:
			return c.manageChannel(n, cmd), nil
		case cmd.INS == apdu.INSSelect && cmd.P1 == selectByName:
			return c.selectByAID(ch, cmd), nil
		}
	}
	if ch.instance == nil {
		return apdu.Response{SW: apdu.SWConditionsNotSatisfied}, nil
	}
	if class.SecureMessaging() {
		if _, ok := ch.selection.(applet.SecureMessenger); !ok {
			return apdu.Response{SW: apdu.SWSecureMessaging}, nil
		}
	}
	cmd.CLA &^= 0x13 // the channel number and the chaining bit
	if s, ok := ch.selection.(slowed); ok {
		if err := wait(ctx, s.Delay(cmd)); err != nil {
			return apdu.Response{}, err
		}
	}
	if long(cmd) {
		return c.runLong(ctx, ch.selection, cmd)
	}
	return ch.selection.Process(cmd), nil
}

// slowed is a selection that answers some commands late, to slow somebody down
// who guesses.
type slowed interface {
	// Delay is how long the card waits before it executes the command.
	Delay(c apdu.Command) time.Duration
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
