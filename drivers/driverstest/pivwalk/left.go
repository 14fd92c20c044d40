package pivwalk

import (
	"context"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

// PINLeft verifies the PIN of an SE with a fresh PIV application as one user, and
// tells whether it still is when the next one has the SE.
func PINLeft(ctx context.Context, se drivers.SE) (bool, error) {
	verified := apdu.Command{INS: apdu.INSVerify, P2: refPIN}
	verify := verified
	verify.Data = pin
	sw, err := use(ctx, se, apdu.Command{INS: apdu.INSSelect, P1: 0x04, Data: aid, Ne: 256}, verify, verified)
	if err != nil {
		return false, err
	}
	if sw != apdu.SWSuccess {
		return false, fmt.Errorf("the PIN is not verified: %w", sw)
	}
	sw, err = use(ctx, se, verified)
	return sw == apdu.SWSuccess, err
}

// use powers an SE on, sends commands and powers it off; sw is that of the last.
func use(ctx context.Context, se drivers.SE, commands ...apdu.Command) (sw apdu.SW, err error) {
	if _, err := se.PowerOn(ctx); err != nil {
		return 0, err
	}
	for _, c := range commands {
		command, err := c.Bytes()
		if err != nil {
			return 0, err
		}
		answer, err := se.Transmit(ctx, command)
		if err != nil {
			return 0, err
		}
		r, err := apdu.ParseResponse(answer)
		if err != nil {
			return 0, err
		}
		sw = r.SW
	}
	return sw, se.PowerOff(ctx)
}
