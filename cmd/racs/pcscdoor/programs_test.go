//go:build unix

package pcscdoor

import (
	"encoding/binary"
	"strconv"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/softse"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/devinfo"
	"github.com/cloud-of-se/tses/drivers/softse/openpgp"
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
	d, _ := openSoftSE(t, "Yubico YubiKey CCID ")
	pcsctest.PIV(t, pcsctest.Target{Socket: d.Path(), Reader: "Yubico YubiKey CCID soft1"})
}

// ykman needs the user plane alone as well, its reset included.
func TestYKMan(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("ykman takes a second a command")
	}
	d, serial := openSoftSE(t, "Yubico YubiKey CCID ")
	pcsctest.YKMan(t, pcsctest.Target{Socket: d.Path(), Reader: "Yubico YubiKey CCID soft1"}, serial)
}

// gpg needs the user plane alone, its factory reset included.
func TestOpenPGP(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("gpg makes RSA keys")
	}
	d, _ := openSoftSE(t, "Yubico YubiKey CCID ")
	pcsctest.OpenPGP(t, pcsctest.Target{Socket: d.Path(), Reader: "Yubico YubiKey CCID soft1"})
}

// openSoftSE is the door to a software SE with the applications that a fresh
// one has, for a credential of the user plane, and the SE's serial number in
// decimal.
func openSoftSE(t *testing.T, prefix string) (*Door, string) {
	t.Helper()
	se, err := softse.New(softse.Opts{Name: "soft1", Packages: []applet.Package{piv.Package(), openpgp.Package(), devinfo.Package()}})
	must(t, err)
	_, err = se.PowerOn(t.Context())
	must(t, err)
	cplc, err := se.Transmit(t.Context(), []byte{0x80, 0xCA, 0x9F, 0x7F, 0x00})
	must(t, err)
	must(t, se.PowerOff(t.Context()))
	ts := tses(t, map[string]drivers.SE{"soft1": se})
	n := newNetwork(t, ts)
	n.planes = access.User
	n.lead(ts)
	d := openDoor(t, n, Options{Name: func(seid string) string { return prefix + seid }}, quick)
	return d, strconv.FormatUint(uint64(binary.BigEndian.Uint32(cplc[3+12:])), 10)
}
