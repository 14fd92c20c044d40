//go:build linux

package main

import (
	"github.com/cloud-of-se/tses/gokrazy/internal/trial"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// ownerFile holds the certificate of the owner's CA, which signs updates too.
const ownerFile = sdcard.EtcDir + "/owner-ca.pem"

// prepareUpdates lets the TSES take updates, if it can be. It comes behind
// prepareDaemon.
func (b *box) prepareUpdates() *trial.Watch {
	if b.slots == nil {
		return nil
	}
	w := &trial.Watch{
		Card: b.slots, Owner: ownerFile, File: sdcard.SlotsFile, User: sdcard.UID, Healthy: b.daemon.Healthy, Starts: b.daemon.Starts, Log: b.log,
		Restart: func(why string) {
			select {
			case b.restart <- why:
			default: // it does already
			}
		},
	}
	if err := w.Prepare(); err != nil {
		b.log.Error("update: this box takes none", "err", err)
		return nil
	}
	b.trying = w.OnTrial
	b.daemon.Env = append(b.daemon.Env, sdcard.SlotsEnv+"="+sdcard.SlotsFile)
	return w
}
