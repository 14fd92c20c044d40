//go:build unix

package pcscdoor

import (
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/softse"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/piv"
	"github.com/cloud-of-se/tses/pcsclite/pcsctest"
)

// The programs of the field reach an SE through the socket, RACS over TLS and
// the TSES.
func TestPrograms(t *testing.T) {
	t.Parallel()
	se := scripted("one")
	n, d := start(t, map[string]drivers.SE{"one": se})
	states, err := program(t, d).Readers(within(t))
	must(t, err)
	g, atr := pcsctest.Target{Socket: d.Path(), Reader: "one"}, states[0].ATR
	t.Run("basic", func(t *testing.T) { pcsctest.Basic(t, g, atr) })
	t.Run("pyscard", func(t *testing.T) { pcsctest.Pyscard(t, g, atr) })
	t.Run("killed", func(t *testing.T) { pcsctest.KilledInTransaction(t, g) })
	t.Run("gpg", func(t *testing.T) { pcsctest.GPG(t, g) })
	t.Run("monitor", func(t *testing.T) {
		pcsctest.Monitor(t, g, []pcsctest.Step{
			{Do: func() { n.lead(nil); n.cut() }, Want: "removed one"},
			{Do: func() { n.lead(tses(t, map[string]drivers.SE{"one": scripted("one"), "two": scripted("two")})) }, Want: "inserted one"},
			{Do: func() {}, Want: "plugged two"},
		})
	})
}

// The tools of PIV need no more than the user plane.
func TestProgramsOnPIV(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the tools of PIV make RSA keys")
	}
	se, err := softse.New(softse.Opts{Name: "soft1", Packages: []applet.Package{piv.Package()}})
	must(t, err)
	ts := tses(t, map[string]drivers.SE{"soft1": se})
	n := newNetwork(t, ts)
	n.planes = access.User
	n.lead(ts)
	d := openDoor(t, n, Options{Name: func(seid string) string { return "Yubico YubiKey " + seid }}, quick)
	pcsctest.PIV(t, pcsctest.Target{Socket: d.Path(), Reader: "Yubico YubiKey soft1"})
}
