package wifi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	guestSSID       = "tses \u2713" // more than ASCII
	guestPassphrase = "open sesame, please"
)

// wpa2 are the lines of an access point that the box is made for.
var wpa2 = []string{"ssid=" + guestSSID, "wpa=2", "wpa_passphrase=" + guestPassphrase, "wpa_key_mgmt=WPA-PSK", "rsn_pairwise=CCMP"}

func with(lines ...string) []string { return append(append([]string(nil), wpa2...), lines...) }

// guestNetwork is what the box is told.
func guestNetwork() Network {
	psk, err := PSK(guestSSID, guestPassphrase)
	if err != nil {
		panic(err) // of constants
	}
	return Network{SSID: guestSSID, PSK: psk, Country: "DE"}
}

// scenarios run one after the other in the virtual machine.
var scenarios = []struct {
	name string
	run  func(g *guest) error
}{
	{"WPA2", func(g *guest) error { return g.joins(guestNetwork(), wpa2...) }},
	{"access point stops and comes back", (*guest).stopsAndComesBack},
	{"access point loses its power", (*guest).losesPower},
	{"group keys change while data passes", func(g *guest) error { return g.keysChange("wpa_group_rekey=2", 1, 4) }},
	{"pairwise keys change while data passes", func(g *guest) error { return g.keysChange("wpa_ptk_rekey=3", 3, 1) }},
	{"context ends", (*guest).contextEnds},
	{"wrong passphrase", func(g *guest) error {
		n := guestNetwork()
		n.PSK[0] ^= 1
		return g.refuses(n, ErrPassphrase, wpa2...)
	}},
	{"another is heard", func(g *guest) error { return errors.Join(g.hostapd(wpa2...), g.hearsNot("elsewhere", guestSSID)) }},
	{"not let in", func(g *guest) error { return g.refuses(guestNetwork(), ErrRefused, with("max_num_sta=0")...) }},
	{"WPA3 only", func(g *guest) error {
		return g.refuses(guestNetwork(), ErrWPA3Only, "ssid="+guestSSID, "wpa=2", "sae_password="+guestPassphrase, "wpa_key_mgmt=SAE", "rsn_pairwise=CCMP", "ieee80211w=2")
	}},
	{"PMF required", func(g *guest) error { return g.refuses(guestNetwork(), ErrPMFRequired, with("ieee80211w=2")...) }},
	{"WPA alone, with TKIP", func(g *guest) error {
		return g.refuses(guestNetwork(), ErrTKIP, "ssid="+guestSSID, "wpa=1", "wpa_passphrase="+guestPassphrase, "wpa_key_mgmt=WPA-PSK", "wpa_pairwise=TKIP")
	}},
	{"TKIP for groups", func(g *guest) error { return g.refuses(guestNetwork(), ErrTKIP, with("wpa=3", "wpa_pairwise=TKIP")...) }},
	{"open, passphrase given", func(g *guest) error { return g.refuses(guestNetwork(), ErrOpen, "ssid="+guestSSID) }},
	{"WPA2, open wanted", func(g *guest) error { return g.refuses(Network{SSID: guestSSID, Open: true}, ErrNotOpen, wpa2...) }},
	{"open", func(g *guest) error { return g.joins(Network{SSID: guestSSID, Open: true}, "ssid="+guestSSID) }},
	{"WPA2 and WPA3 mixed", func(g *guest) error {
		return g.joins(guestNetwork(), with("wpa_key_mgmt=WPA-PSK SAE", "ieee80211w=1", "sae_pwe=2")...)
	}},
	{"hidden name", func(g *guest) error { return g.joins(guestNetwork(), with("ignore_broadcast_ssid=1")...) }},
	{"switched off", (*guest).switchedOff},
	{"interface goes", (*guest).interfaceGoes},
}

// joins starts an access point, joins it and uses it.
func (g *guest) joins(n Network, lines ...string) error {
	if err := g.hostapd(lines...); err != nil {
		return err
	}
	return g.joinsIt(n)
}

func (g *guest) joinsIt(n Network) error {
	began := time.Now()
	return g.run(n, func(ctx context.Context, iface string) error {
		fmt.Println(guestNote, "joined after", time.Since(began).Round(10*time.Millisecond), "with the scan")
		return works(ctx, iface)
	})
}

// refuses wants a network not to be joined, for a reason.
func (g *guest) refuses(n Network, want error, lines ...string) error {
	if err := g.hostapd(lines...); err != nil {
		return err
	}
	return g.refusesIt(n, want)
}

func (g *guest) refusesIt(n Network, want error) error {
	err := g.run(n, func(context.Context, string) error { return errors.New("it was joined") })
	fmt.Println(guestNote, err)
	if !errors.Is(err, want) {
		return fmt.Errorf("got %v, want %v", err, want)
	}
	return nil
}

// hearsNot wants a network not to be heard, and the error to name another.
func (g *guest) hearsNot(ssid, other string) error {
	n := guestNetwork()
	n.SSID = ssid
	err := g.runOnce(n, func(context.Context, string) error { return errors.New("it was joined") })
	fmt.Println(guestNote, err)
	if !errors.Is(err, ErrNotHeard) || !strings.Contains(err.Error(), other) {
		return fmt.Errorf("got %v, want %v and %s", err, ErrNotHeard, other)
	}
	return nil
}

// isLost wants a connection to end behind do, within a bound.
func (g *guest) isLost(within time.Duration, do func() error) error {
	if err := g.hostapd(wpa2...); err != nil {
		return err
	}
	var began time.Time
	err := g.run(guestNetwork(), func(ctx context.Context, iface string) error {
		if err := works(ctx, iface); err != nil {
			return err
		}
		began = time.Now()
		if err := do(); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	fmt.Println(guestNote, err, "after", time.Since(began).Round(10*time.Millisecond))
	if !errors.Is(err, ErrLost) {
		return fmt.Errorf("got %v, want %v", err, ErrLost)
	}
	if took := time.Since(began); took > within {
		return fmt.Errorf("lost after %v, want within %v", took, within)
	}
	return nil
}

func (g *guest) stopsAndComesBack() error {
	if err := g.isLost(5*time.Second, func() error { return g.ask("stop") }); err != nil {
		return err
	}
	if err := g.hearsNot(guestSSID, "nor any other"); err != nil {
		return err
	}
	return g.joins(guestNetwork(), wpa2...)
}

func (g *guest) losesPower() error {
	return g.isLost(20*time.Second, func() error { return g.ask("cut") })
}

// counter counts what a log says of keys.
type counter struct {
	slog.Handler
	pairwise, group atomic.Int32
}

func (c *counter) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == keyInstalled {
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "pairwise" {
				if a.Value.Bool() {
					c.pairwise.Add(1)
				} else {
					c.group.Add(1)
				}
			}
			return true
		})
	}
	return c.Handler.Handle(ctx, r)
}

// keysChange has the access point change keys every few seconds, the pairwise or
// the group's: hostapd loses its way where both happen at once.
func (g *guest) keysChange(rekey string, wantPairwise, wantGroup int32) error {
	if err := g.hostapd(with(rekey)...); err != nil {
		return err
	}
	count := &counter{Handler: g.log.Handler()}
	log := g.log
	g.log = slog.New(count)
	defer func() { g.log = log }()
	return g.run(guestNetwork(), func(ctx context.Context, iface string) error {
		const long = 10 * time.Second
		t, err := use(ctx, iface, long)
		pairwise, group := count.pairwise.Load(), count.group.Load()
		fmt.Println(guestNote, t, "keys:", pairwise, "pairwise,", group, "group")
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		// A group key that is in use comes with every pairwise one, and is not
		// installed again.
		if pairwise < wantPairwise || group < wantGroup || wantGroup == 1 && group != 1 {
			return fmt.Errorf("%d pairwise keys and %d group keys in %v, want %d and %d", pairwise, group, long, wantPairwise, wantGroup)
		}
		if t.answered.Load() < t.sent.Load()*9/10 || t.toAll.Load() < 75 || time.Duration(t.longest.Load()) > 2*time.Second {
			return fmt.Errorf("data is lost: %v", t)
		}
		return nil
	})
}

// contextEnds wants Run to end at once, and the network to be left: it can be
// joined again.
func (g *guest) contextEnds() error {
	if err := g.hostapd(wpa2...); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &Station{Network: guestNetwork(), Log: g.log}
	var began time.Time
	err := s.Run(ctx, func(ctx context.Context, _ string) error {
		began = time.Now()
		cancel()
		<-ctx.Done()
		return nil
	})
	if took := time.Since(began); !errors.Is(err, context.Canceled) && err != nil || took > time.Second {
		return fmt.Errorf("got %v after %v", err, took)
	}
	return g.joinsIt(guestNetwork())
}

// switchedOff blocks the radio, as a switch does.
func (g *guest) switchedOff() error {
	switches, err := filepath.Glob("/sys/class/rfkill/rfkill*/soft")
	if err != nil || len(switches) == 0 {
		return fmt.Errorf("no rfkill switch: %v", err)
	}
	turn := func(to string) (err error) {
		for _, s := range switches {
			err = errors.Join(err, os.WriteFile(s, []byte(to), 0))
		}
		return err
	}
	err = g.isLost(5*time.Second, func() error { return turn("1") })
	return errors.Join(err, g.refusesIt(guestNetwork(), ErrBlocked), turn("0"))
}

// interfaceGoes takes the radios away, as a chip does whose firmware crashes.
func (g *guest) interfaceGoes() error {
	if err := g.isLost(5*time.Second, func() error { return unix.DeleteModule("mac80211_hwsim", 0) }); err != nil {
		return err
	}
	return g.refusesIt(guestNetwork(), ErrNoInterface)
}
