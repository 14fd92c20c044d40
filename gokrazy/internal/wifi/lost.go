//go:build linux

package wifi

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// refused says why an association came to nothing.
func (e event) refused(ssid string) error {
	switch {
	case e.timedOut:
		return fmt.Errorf("%w: %q does not answer; is it too far away?", ErrRefused, ssid)
	case e.status != 0:
		return fmt.Errorf("%w: %q: %s", ErrRefused, ssid, say(statuses, e.status))
	}
	return nil
}

// gone tells whether an event ends the connection, and why.
func (e event) gone(iface string) error {
	switch e.command {
	case unix.NL80211_CMD_DISCONNECT:
		who := "by this side"
		if e.byAP {
			who = "by the access point"
		}
		return &lostError{iface, e.reason, who}
	case unix.NL80211_CMD_ROAM:
		return fmt.Errorf("%w: %s: the firmware has gone to another access point, without keys", ErrLost, iface)
	case unix.NL80211_CMD_DEL_INTERFACE:
		return fmt.Errorf("%w: %s: the interface is gone", ErrLost, iface)
	}
	return nil
}

// lostError is a disconnection with its reason.
type lostError struct {
	iface  string
	reason uint16
	who    string
}

func (e *lostError) Error() string {
	return fmt.Sprintf("%v: %s: %s: %s", ErrLost, e.iface, e.who, say(reasons, e.reason))
}

func (e *lostError) Unwrap() error { return ErrLost }
