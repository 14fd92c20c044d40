//go:build pcsc && linux

package pcscdoor

import (
	"testing"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
	"github.com/cloud-of-se/tses/drivers/pcsc"
	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/pcsclite/pcsctest"
)

// PC/SC at both ends: a program, the socket, RACS, the TSES, its PC/SC driver,
// pcscd, the virtual reader and the card in it. Measured beside the way without
// the TSES.
func TestBothAtOnce(t *testing.T) {
	if !vpcd.Isolated(t) {
		return
	}
	p := vpcd.Start(t, "A")
	p.Insert("A0", scripted("one"))
	host := pcsc.NewHost(pcsc.Options{})
	se, err := host.Element(pcsc.Match{Reader: p.Reader("A0")})
	must(t, err)
	host.Start(t.Context())
	t.Cleanup(func() { must(t, host.Close()) }) // behind the TSES's end
	n := newNetwork(t, tses(t, map[string]drivers.SE{"one": se}))
	n.direct = true
	d := openDoor(t, n, Options{}, quick)
	c := program(t, d)
	until(t, c, "one", pcsclite.Present)
	states, err := c.Readers(within(t))
	must(t, err)
	g := pcsctest.Target{Socket: d.Path(), Reader: "one"}
	pcsctest.Basic(t, g, states[0].ATR)

	const selectAnything, readThree, times = "00A4040000", "00B0000003", 500
	prober := pcsctest.NewProber(t)
	through := prober.Measure(t, g, times, selectAnything, readThree)
	direct := prober.Measure(t, pcsctest.Target{Reader: p.Reader("A0")}, times, selectAnything, readThree)
	t.Logf("an APDU takes %v through racs pcsc and the TSES, %v directly: %.2f times", through, direct, float64(through)/float64(direct))
}
