package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/cloud-of-se/tses/appliance/internal/confine"
	"github.com/cloud-of-se/tses/boards"
	"github.com/cloud-of-se/tses/drivers/iso7816"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

// capNetBindService is to listen on a port below 1024 (capabilities(7)).
const capNetBindService = 10

// drop gives up what this TSES does not need, before anybody can speak to it.
// Without -confine it stays what it was started as.
func drop(c config, f *flags, log *slog.Logger) error {
	if f.confine == "" {
		return nil
	}
	var rules confine.Rules
	if !confine.Begun() {
		var err error
		if rules, err = rulesOfCage(c, *f); err != nil {
			return err
		}
		if err := giveState(f.state, rules); err != nil {
			return err
		}
	}
	cage, err := confine.Enter(rules)
	if err != nil {
		return err
	}
	cage.Report.Log(log)
	memory := cage.Files[iso7816.Memory]
	if memory == nil {
		return nil
	}
	m, err := clockedMachine(memory, f.machine)
	if err = errors.Join(err, memory.Close()); err != nil {
		log.Error("clocks of cards", "err", err) // who asks for one is told so
		return nil
	}
	f.machine = m
	return nil
}

// clockedMachine is this machine with the clocks of cards. Of all memory, two
// pages of registers stay mapped until the process ends; what gave access to the
// rest is closed before anybody can speak to it.
func clockedMachine(memory *os.File, m *machine) (*machine, error) {
	if m == nil {
		m = &machine{root: os.DirFS("/")}
	}
	board, err := boards.Detect(m.root)
	if err != nil {
		return nil, err
	}
	registers, err := iso7816.MapRegisters(memory, board.SoC())
	if err != nil {
		return nil, err
	}
	return &machine{m.root, boards.HostWithClock(registers)}, nil
}

// settle gives up to listen on anything else than what is listened on by now.
func settle(f flags, log *slog.Logger) {
	if f.confine != "" {
		confine.Settle().Log(log)
	}
}

// errConfine says that -confine names nobody.
var errConfine = errors.New("-confine wants self, the name of a user, or a number")

// setUser says who the TSES shall be: who it is, a user of this host with their
// groups, or the user and the group of a number, in no further one.
func setUser(r *confine.Rules, who string) error {
	if who == confineSelf {
		return nil
	}
	if n, err := strconv.ParseUint(who, 10, 31); err == nil && n > 0 {
		r.UID, r.GID = int(n), int(n)
		return nil
	}
	u, err := user.Lookup(who)
	if err != nil {
		return fmt.Errorf("%w: %w", errConfine, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("-confine %s: %w", who, err)
	}
	for _, id := range append([]string{u.Uid, u.Gid}, groups...) {
		n, err := strconv.ParseUint(id, 10, 31)
		if err != nil || n == 0 {
			return fmt.Errorf("-confine %s: it is root, or in its group (%s); make a user for the TSES: useradd --system tses", who, id)
		}
		r.Groups = append(r.Groups, int(n))
	}
	r.UID, r.GID, r.Groups = r.Groups[0], r.Groups[1], r.Groups[2:]
	return nil
}

// confineSelf is to stay who one is: systemd, or a person, has chosen them.
const confineSelf = "self"

// giveState makes the state directory for another user, where it is not there:
// they can make none beside it.
func giveState(dir string, r confine.Rules) error {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if r.UID == 0 {
		return nil
	}
	return os.Chown(dir, r.UID, r.GID)
}

// rulesOfCage are what the configuration needs.
func rulesOfCage(c config, f flags) (confine.Rules, error) {
	r := confine.Rules{
		ReadWrite: []string{f.state, "/run/pcscd"},
		// What boards are and what hangs on them, and what Go asks of the system.
		Read: append([]string{"/proc", "/sys"}, c.Access.files()...),
		// Which of them may be opened the rights of the nodes say. The directory
		// as a whole, because adapters come and go.
		Devices: []string{"/dev"},
	}
	if err := setUser(&r, f.confine); err != nil {
		return r, err
	}
	if f.box != "" {
		r.Read = append(r.Read, f.box)
	}
	if f.config != "" {
		r.Read = append(r.Read, filepath.Dir(f.config))
	}
	for _, env := range []string{sdcard.ClockEnv, sdcard.SlotsEnv, sdcard.NetworkEnv} {
		if file, ok := os.LookupEnv(env); ok {
			r.Read = append(r.Read, filepath.Dir(file)) // the file is replaced
		}
	}
	host, text, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return r, fmt.Errorf("listen = %q: %w", c.Listen, err)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		return r, fmt.Errorf("listen = %q: to be confined, it needs an address such as 127.0.0.1: nothing in there asks for names", c.Listen)
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
			r.Open = []string{iso7816.Memory}
			break
		}
	}
	if runtime.GOOS == "linux" {
		r.Libraries = []string{"/lib", "/lib64", "/usr/lib"} // there are none on a card
	}
	return r, nil
}
