package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// errLostState is why the software SEs of a box are absent that has lost its
// state. New ones in their place would be taken for the old.
var errLostState = errors.New("this box has lost its state")

// readLoss returns the loss that the first process tells of, or the one that
// this TSES has claimed itself, nil for none.
func readLoss(state string) (*sdcard.Loss, error) {
	if dir, ok := os.LookupEnv(sdcard.LossEnv); ok {
		if loss, err := sdcard.ReadLoss(dir); loss != nil || err != nil {
			return loss, err
		}
	}
	return sdcard.ReadLoss(state)
}

// claimLoss tells the first process, at the next start, and this TSES from now on
// that its state is lost: what the first process cannot see by itself. On a
// host, where there is no first process, nobody could accept it.
func claimLoss(state, why string, log *slog.Logger) {
	if _, ok := os.LookupEnv(sdcard.LossEnv); !ok {
		return
	}
	if err := sdcard.RecordLoss(state, sdcard.NewLoss(time.Now(), why)); err != nil {
		log.Error("a loss of state may not be known at the next start", "why", why, "err", err)
	}
}

// lostState tells of a loss that the owner has not accepted.
func lostState(state string) error {
	loss, err := readLoss(state)
	switch {
	case err != nil:
		return err
	case loss == nil:
		return nil
	}
	// What to do comes first: a client sees no more than the beginning.
	return fmt.Errorf("%w, and with it the keys of its software SEs: begin anew with a newly made card, or with accept_lost_state = %q in the configuration. It was found then that %s",
		errLostState, loss.Key(), loss.Why)
}

// judgeLoss looks for a loss at the start. The first process has looked whether
// the configuration accepts it: then there is none any more.
func judgeLoss(c config, state string, log *slog.Logger) error {
	loss, err := readLoss(state)
	if err != nil || loss == nil {
		return err
	}
	log.Error("THIS BOX HAS LOST ITS STATE: software SEs are out of service, and credentials that were revoked on the box since its card was made are let in again; "+
		"revoke them again, or make the card anew", "err", lostState(state))
	switch c.AcceptLostState {
	case "":
	case loss.Key():
		log.Error("the loss is accepted by the configuration, and could not be acted upon yet; the next start of the box tries again")
	default:
		log.Warn("accept_lost_state in the configuration is of another loss", "accepted", c.AcceptLostState, "found", loss.Key())
	}
	return nil
}
