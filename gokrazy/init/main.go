//go:build linux

// Command init is the first process of the SD card. It mounts what there is to
// mount, sees to /perm, the clock and the network, and keeps one process
// running, the TSES. There is nothing else: no shell, no other service, and of
// its own sockets none that takes anything but the answers of DHCP and NTP,
// questions for the box's name by mDNS, and the handshake of Wi-Fi. Whoever is in
// the same network can send to these: what reads them is this project's own but
// for dns/dnsmessage and beevik/ntp, and fuzzed.
//
// # Watchdog
//
// The machine's hardware watchdog is fed for the few minutes that the start may
// take, and then only while the TSES has a heartbeat, or had one a few minutes
// ago. A TSES that hangs is killed and started again; where that does not help,
// init restarts the machine in good order; and where init itself hangs, the
// watchdog does.
//
// # Updates
//
// Before anything else, init looks whether an update waits in the other root
// file system, and becomes its init for one start; package trial says how, and
// what leads back.
//
// # What it takes from the TSES
//
// The TSES speaks with strangers, and somebody may have broken into it. What it
// hands to init is judged here, by the root file system that runs, where nobody
// has written since it was packed:
//
//   - An update in the other slot: is started, and restarts the box, if the owner
//     has signed it, for this box, and it is not older than what runs (package
//     trial). Which slot that is, and its device, init finds out itself.
//   - A credential's certificate: is evidence of the time if the owner's CA has
//     signed it for a client, and only of a time that has passed by then.
//   - The claim of a loss, and the list of revocations that is taken along from a
//     lost state: regular files of a bounded size, of which the first makes init
//     believe less and the second can only shut out.
//   - The heartbeat: that it lives. An update that lies about it is one that the
//     owner has signed.
//   - Its log: lines of a bounded length, marked as its own, in which nothing is
//     left that a terminal acts upon.
//
// What init itself keeps is in directories of /perm where the TSES cannot write:
// loss, clock and log.
//
// # What the kernel's command line can ask for
//
//	tses.report=1   list processes and sockets on the console once the TSES serves
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gokrazy/gokrazy"
	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/gokrazy/internal/trial"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/journal"
)

func main() {
	flow := withoutFlowControl(os.Stderr)
	out := newSink(os.Stderr)
	const lines, interval = 200, 10 * time.Minute // of one kind: who is in the same network can cause some
	quota := journal.NewQuota(journal.NewHandler(out), lines, interval)
	go quota.Run(context.Background()) // ends with the machine
	logger := quota.Logger(nil)
	log.SetOutput(out) // gokrazy's library speaks there
	// Nobody knows what time it is when the first lines are written.
	log.SetFlags(0)
	if flow != nil && !errors.Is(flow, unix.ENOTTY) {
		logger.Warn("whoever is at the console can stop it", "err", flow)
	}
	// A terminal's end, and what it says of a lease, would end process 1.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)

	slots, err := trial.Enter(ownerFile, logger) // an update that waits takes the place of this program
	if err != nil {
		logger.Error("update: this box takes none", "err", err)
	}
	dog := openWatchdog(logger) // before Boot: gokrazy's library would feed it whatever happens
	buttons := grabPowerButtons(logger)
	if err := start(out, logger, slots, dog, buttons); err != nil {
		logger.Error("init cannot go on, the machine restarts", "err", err)
		restart(out, logger, unix.LINUX_REBOOT_CMD_RESTART)
	}
}

// start brings the box up and returns when it is to go down, which it does
// itself, or with what keeps it from coming up.
func start(out *sink, logger *slog.Logger, slots *trial.Card, dog *watchdog, buttons *buttons) error {
	if err := gokrazy.Boot("TSES"); err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	b := &box{out: out, log: logger, slots: slots, dog: dog, restart: make(chan string, 1)}
	b.readBuild()
	if err := b.readConfiguration(); err != nil {
		// The builder has checked it; the TSES says what is wrong with it.
		logger.Error("configuration", "err", err)
	}
	if err := b.prepareStorage(); err != nil {
		return err
	}
	if err := b.startClock(); err != nil {
		logger.Error("clock", "err", err)
	}
	b.prepareDaemon()
	updates := b.prepareUpdates()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.running.Go(func() { b.clock.Run(ctx) })
	// Sessions that end in good order need the network until they have.
	served, disconnect := context.WithCancel(context.Background())
	b.running.Go(func() { b.runNetwork(served) })
	b.running.Go(func() { b.tendDevices(ctx) })
	b.running.Go(func() {
		defer disconnect()
		b.daemon.Run(ctx)
	})
	b.running.Go(func() { b.keepState(ctx) })
	if updates != nil {
		b.busy = updates.Overwriting
		b.running.Go(func() { updates.Run(ctx) })
	}
	unwell := b.guard(ctx)

	how, why := b.awaitEnd(buttons, unwell)
	logger.Warn("the box goes down", "why", why)
	cancel()
	b.end(how)
	return nil
}

// awaitEnd waits for a reason to go down: the power button, a signal, an update,
// or a TSES that does not come up.
func (b *box) awaitEnd(buttons *buttons, unwell <-chan struct{}) (how int, why string) {
	signals := make(chan os.Signal, 1)
	// Control-Alt-Delete is SIGINT for process 1.
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF); err != nil {
		slog.Warn("Control-Alt-Delete restarts at once", "err", err)
	}
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR2)
	select {
	case <-buttons.pressed:
		return unix.LINUX_REBOOT_CMD_POWER_OFF, "the power button was pressed"
	case s := <-signals:
		if s == syscall.SIGUSR2 {
			return unix.LINUX_REBOOT_CMD_POWER_OFF, "it was told to switch off"
		}
		return unix.LINUX_REBOOT_CMD_RESTART, "it was told to restart: " + s.String()
	case why := <-b.restart:
		return unix.LINUX_REBOOT_CMD_RESTART, why
	case <-unwell:
		return unix.LINUX_REBOOT_CMD_RESTART, fmt.Sprintf("the TSES has not served for %v", patience)
	}
}

// downTime bounds how long what runs may take to end. The TSES drains for 30 s
// by default and is killed after 40 s.
const downTime = 50 * time.Second

// overwriteTime is how much longer a boot partition may take that is being
// overwritten. A box that ends in the middle does not start any more.
const overwriteTime = 5 * time.Minute

// overwriting tells whether it is.
func (b *box) overwriting() bool { return b.busy != nil && b.busy() }

// await waits until all has ended, and tells whether it has.
func (b *box) await(ended <-chan struct{}) bool {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for began := time.Now(); ; {
		select {
		case <-ended:
			return true
		case now := <-tick.C:
			if took := now.Sub(began); took > downTime+overwriteTime || took > downTime && !b.overwriting() {
				return false
			}
		}
	}
}

// end waits until all has ended, puts what is in memory on the card, and
// switches off or restarts.
func (b *box) end(how int) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.running.Wait()
	}()
	if !b.await(ended) {
		b.log.Error("not all has ended in time")
	}
	b.said.flush()
	b.log.Info("switching off", "uptime", time.Since(b.began).Round(time.Second))
	if err := b.out.close(lastWords); err != nil {
		b.log.Warn("log", "err", err)
	}
	unix.Sync()
	if err := b.card.Unmount(); err != nil {
		b.log.Warn("permanent storage", "err", err) // it has a journal, and is synced
	}
	restart(b.out, b.log, how)
}

// lastWords bounds how long the card, and then the console, has for the last lines.
const lastWords = 5 * time.Second

// restart does not return. Where the kernel refuses, the watchdog is starved.
func restart(out *sink, logger *slog.Logger, how int) {
	out.console.Flush(lastWords)
	unix.Sync()
	err := unix.Reboot(how)
	logger.Error("the kernel does not end", "err", err)
	time.Sleep(time.Minute)
	os.Exit(1) // the kernel panics, and restarts
}

// daemonProgram is the TSES.
const daemonProgram = "/user/appliance"

var daemonArgs = []string{"-box", sdcard.EtcDir, "-state", sdcard.StateDir, "-confine", fmt.Sprint(sdcard.UID)}
