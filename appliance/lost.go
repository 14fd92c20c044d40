package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// errLostState is why the software SEs of a box are absent that has lost its
// state. New ones in their place would be taken for the old.
var errLostState = errors.New("this box has lost its state")

// lostState tells of a loss that the owner has not accepted.
func lostState(state string) error {
	loss, err := sdcard.ReadLoss(state)
	switch {
	case err != nil:
		return err
	case loss == nil:
		return nil
	}
	return fmt.Errorf("%w, and with it the keys of its software SEs, found at %s: %s. Begin anew with a newly made card, or with accept_lost_state = %q in the configuration",
		errLostState, loss.Key(), loss.Why, loss.Key())
}

// judgeLoss looks for a loss at the start, and accepts the one that the
// configuration names.
func judgeLoss(c config, state string, log *slog.Logger) error {
	loss, err := sdcard.ReadLoss(state)
	if err != nil || loss == nil {
		return err
	}
	if c.AcceptLostState == loss.Key() {
		log.Warn("the loss of this box's state is accepted, software SEs begin anew", "found", loss.Key(), "why", loss.Why)
		return sdcard.AcceptLoss(state)
	}
	log.Error("THIS BOX HAS LOST ITS STATE: software SEs are out of service, and credentials that were revoked on the box since its card was made are let in again; "+
		"revoke them again, or make the card anew", "err", lostState(state))
	return nil
}
