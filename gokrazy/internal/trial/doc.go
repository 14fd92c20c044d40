// Package trial is the first process's part in updates: it starts an update
// that waits, for one time, and makes it the selected one when it is well.
// Package slots says what is on the card at each step.
//
// # How the other root file system is started
//
// The boot loader always starts the selected slot, with the kernel that both
// share. Its init, as the first thing that it does ([Enter]), looks whether the
// other slot is armed. If so it takes that away, mounts the other slot in its
// own place, and becomes the init that is there, by exec. So whatever the
// update is worth, the next start is the old one's.
//
// # What leads back
//
//   - Nothing has to happen: any restart does.
//   - The kernel restarts the machine 10 s after a panic, which the end of the
//     first process is too (panic=10).
//   - The hardware watchdog is running when the update's init begins; whoever
//     does not feed it is restarted within [watchdogTime].
//   - The update's init restarts the box if the TSES was not well for [settle]
//     within [limit] ([Card.Run]).
//   - A guard restarts the box after [guardTime] unless the update's slot is
//     selected by then. It is a process of the old root file system's init, which
//     was proved; a mistake in the new one, even one that feeds the watchdog and
//     waits for ever, does not touch it. It ends when its work is done, and has
//     ended before the boot partition is overwritten, where the update asks for
//     that ([slots.ChangeBoot]): a restart then is the one thing that could leave
//     a box that does not start.
package trial

import "time"

const (
	// settle is how long the TSES has to be well on end. It is much longer than
	// the hardware watchdog's time, so that an init that does not feed it is not
	// confirmed before it bites.
	settle       = 2 * watchdogTime
	limit        = 2 * time.Minute // from the start of init
	guardTime    = 3 * time.Minute
	watchdogTime = 15 * time.Second // the longest that a Raspberry Pi's can
	pollEvery    = 2 * time.Second
	bootEvery    = 5 * time.Second // between two tries to put a boot partition in place
	bootTries    = 10              // without a byte written
	consumeTime  = 2 * time.Minute // to read a slot of a slow card

	// The guard looks every second.
	guardEvery    = time.Second
	guardPatience = 3 * guardEvery
	guardPoll     = 20 * time.Millisecond
)
