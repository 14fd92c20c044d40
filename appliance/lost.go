package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
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
// seids are the software SEs that are lost, none for all.
func claimLoss(state, why string, log *slog.Logger, seids ...string) {
	if _, ok := os.LookupEnv(sdcard.LossEnv); !ok || onTrial() {
		return
	}
	loss := sdcard.NewLoss(time.Now(), why)
	loss.SEs = seids
	if err := sdcard.RecordLoss(state, loss); err != nil {
		log.Error("a loss of state may not be known at the next start", "why", why, "err", err)
	}
}

// onTrial tells whether this TSES is an update on trial. What it does not
// understand is for the one to judge that it may be taken back to.
func onTrial() bool {
	path, ok := os.LookupEnv(sdcard.SlotsEnv)
	if !ok {
		return false
	}
	slots, err := sdcard.ReadSlots(path)
	return err == nil && slots.Trial
}

// lostState tells of a loss that the owner has not accepted, and that a software
// SE is part of.
func lostState(state, seid string) error {
	loss, err := readLoss(state)
	switch {
	case err != nil:
		return err
	case loss == nil || len(loss.SEs) > 0 && !slices.Contains(loss.SEs, seid):
		return nil
	}
	return lossError(*loss)
}

func lossError(loss sdcard.Loss) error {
	// What to do comes first: a client sees no more than the beginning.
	return fmt.Errorf("%w, and with it keys of its software SEs: begin all of them anew with a newly made card, or with accept_lost_state = %q in the configuration. It was found then that %s",
		errLostState, loss.Key(), loss.Why)
}

// judgeLoss looks for a loss at the start. The first process has looked whether
// the configuration accepts it: then there is none any more.
func judgeLoss(c config, state string, log *slog.Logger) error {
	loss, err := readLoss(state)
	if err != nil || loss == nil {
		return err
	}
	if len(loss.SEs) > 0 {
		log.Error("THIS BOX HAS LOST THE STATE of a software SE, which is out of service", "seid", loss.SEs, "err", lossError(*loss))
	} else {
		log.Error("THIS BOX HAS LOST ITS STATE: software SEs are out of service, and credentials that were revoked on the box since its card was made are let in again; "+
			"revoke them again, or make the card anew", "err", lossError(*loss))
	}
	switch c.AcceptLostState {
	case "":
	case loss.Key():
		log.Error("the loss is accepted by the configuration, and could not be acted upon yet; the next start of the box tries again")
	default:
		log.Warn("accept_lost_state in the configuration is of another loss", "accepted", c.AcceptLostState, "found", loss.Key())
	}
	return nil
}
