package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/cloud-of-se/tses/appliance/internal/confine"
	"github.com/cloud-of-se/tses/boards"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// Capabilities that a configuration can need (capabilities(7)).
const (
	capNetBindService = 10 // to listen on a port below 1024
	capSysRawIO       = 17 // to open /dev/mem, where the card clock of a GPCLK is set
)

// drop gives up what this TSES does not need, before anybody can speak to it.
// Without -confine, and on a host, it stays what it was started as.
func drop(c config, f flags, log *slog.Logger) error {
	if f.confine == 0 {
		return nil
	}
	rules, err := rulesOfCage(c, f)
	if err != nil {
		return err
	}
	report, err := confine.Enter(rules)
	if err != nil {
		return err
	}
	report.Log(log)
	return nil
}

// settle gives up to listen on anything else than what is listened on by now.
func settle(f flags, log *slog.Logger) {
	if f.confine != 0 {
		confine.Settle().Log(log)
	}
}

// rulesOfCage are what the configuration needs.
func rulesOfCage(c config, f flags) (confine.Rules, error) {
	r := confine.Rules{
		UID: f.confine, GID: f.confine,
		ReadWrite: []string{f.state, "/run/pcscd"},
		// What boards are and what hangs on them, and what Go asks of the system.
		Read: append([]string{"/proc", "/sys"}, c.Access.Trust...),
		// Which of them may be opened the rights of the nodes say. The directory
		// as a whole, because adapters come and go.
		Devices: []string{"/dev"},
	}
	if f.box != "" {
		r.Read = append(r.Read, f.box)
	}
	if f.config != "" {
		r.Read = append(r.Read, filepath.Dir(f.config))
	}
	for _, env := range []string{sdcard.ClockEnv, sdcard.SlotsEnv} {
		if file, ok := os.LookupEnv(env); ok {
			r.Read = append(r.Read, filepath.Dir(file)) // the file is replaced
		}
	}
	_, text, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return r, fmt.Errorf("listen = %q: %w", c.Listen, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return r, fmt.Errorf("listen = %q: %w; to be confined, a port needs to be a number", c.Listen, err)
	}
	if port != 0 {
		r.Ports = []uint16{uint16(port)}
	}
	if 0 < port && port < 1024 {
		r.Keep = append(r.Keep, capNetBindService)
	}
	for _, e := range c.Elements {
		if !e.wired() {
			continue
		}
		w, err := e.wiring()
		if err != nil {
			return r, err
		}
		if w.ClockPin != boards.NoPin && w.Driver == boards.ISO7816 {
			r.Keep = append(r.Keep, capSysRawIO)
			break
		}
	}
	if runtime.GOOS == "linux" {
		r.Libraries = []string{"/lib", "/lib64", "/usr/lib"} // there are none on a card
	}
	return r, nil
}
