package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
)

// checkSEs powers every SE on that nobody has, and off again. The session is
// new: what it can power on was off, so nobody's work is lost.
func (d *doctor) checkSEs(ctx context.Context) bool {
	seids, err := d.client.List(ctx)
	if err != nil {
		d.failSE("SEs", err)
		return false
	}
	if len(seids) == 0 {
		d.fail(exitServerError, "SEs", "this credential may use none", "ask the server's administrator for a credential or a rule that names SEs")
		return false
	}
	d.ok("SEs", "this credential may use %d", len(seids))
	began := time.Now()
	for i, seid := range seids {
		if time.Since(began) > d.limit {
			d.fail(exitServerError, "SEs", fmt.Sprintf("%d of %d were tried within %v", i, len(seids), d.limit), "racs reset SEID tries one of the others")
			break
		}
		if !d.checkSE(ctx, seid) {
			return false
		}
	}
	if err := d.client.Quit(ctx); err != nil {
		d.failSE("end of session", err)
	}
	return true
}

// checkSE tries one SE. False says that there is no server any more.
func (d *doctor) checkSE(ctx context.Context, seid string) bool {
	atr, err := d.client.PowerOn(ctx, seid)
	status, answered := errors.AsType[racs.Status](err)
	switch {
	case answered && status.Class == racs.InUse:
		return d.ok("SE "+seid, "in use: %s", status.Text)
	case err != nil:
		d.failSE("SE "+seid, err)
		return answered
	}
	if err := d.client.Shutdown(ctx, seid); err != nil {
		d.failSE("SE "+seid, err)
		return isStatus(err)
	}
	if atr == nil {
		return d.ok("SE "+seid, "powers on")
	}
	return d.ok("SE "+seid, "powers on, ATR %X", atr)
}

// failSE reports what the server answered, or that it does not.
func (d *doctor) failSE(step string, err error) {
	status, answered := errors.AsType[racs.Status](err)
	if !answered {
		d.fail(exitNoSession, step, err.Error(), "try again; the log of the server may say why it does not answer")
		return
	}
	todo := advice(status)
	if todo == "" {
		todo = "the log of the server may say more"
	}
	d.fail(exitServerError, step, fmt.Sprintf("%s: %s (%v)", status.Verb, status.Text, status.Class), todo)
}
