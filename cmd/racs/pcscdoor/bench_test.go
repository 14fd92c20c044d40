//go:build unix

package pcscdoor

import (
	"context"
	"fmt"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/softse"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/piv"
	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/pcsclite/pcsctest"
)

// getVersion is a command of PIV's that a software SE answers without work.
var getVersion = []byte{0x00, 0xFD, 0x00, 0x00, 0x00}

var selectPIV = []byte{0x00, 0xA4, 0x04, 0x00, 0x05, 0xA0, 0x00, 0x00, 0x03, 0x08}

// BenchmarkAPDU is one APDU to a software SE: called as a driver, over RACS,
// through a socket alone, and the whole way from a PC/SC program over RACS. The
// last less the first is what racs pcsc adds.
func BenchmarkAPDU(b *testing.B) {
	soft := func() drivers.SE {
		se, err := softse.New(softse.Opts{Name: "soft1", Packages: []applet.Package{piv.Package()}})
		must(b, err)
		return se
	}
	b.Run("driver", func(b *testing.B) {
		se := soft()
		_, err := se.PowerOn(within(b))
		must(b, err)
		measure(b, func(ctx context.Context, command []byte) ([]byte, error) { return se.Transmit(ctx, command) })
	})
	b.Run("RACS", func(b *testing.B) {
		ts := tses(b, map[string]drivers.SE{"soft1": soft()})
		n := newNetwork(b, ts)
		n.direct = true
		n.planes = access.User
		n.lead(ts)
		c, err := n.dial(within(b))
		must(b, err)
		defer c.Close()
		_, err = c.PowerOn(within(b), "soft1")
		must(b, err)
		measure(b, func(ctx context.Context, command []byte) ([]byte, error) { return c.Transmit(ctx, "soft1", command) })
	})
	b.Run("racs pcsc", func(b *testing.B) {
		ts := tses(b, map[string]drivers.SE{"soft1": soft()})
		n := newNetwork(b, ts)
		n.direct = true
		n.planes = access.User
		n.lead(ts)
		d := openDoor(b, n, Options{}, inTheField)
		conn, err := program(b, d).Connect(within(b), "soft1", pcsclite.Shared, pcsclite.ProtocolAny)
		must(b, err)
		measure(b, conn.Transmit)
	})
	b.Run("racs pcsc, libpcsclite", func(b *testing.B) {
		prober := pcsctest.NewProber(b)
		ts := tses(b, map[string]drivers.SE{"soft1": soft()})
		n := newNetwork(b, ts)
		n.direct = true
		n.planes = access.User
		n.lead(ts)
		d := openDoor(b, n, Options{}, inTheField)
		each := prober.Measure(b, pcsctest.Target{Socket: d.Path(), Reader: "soft1"}, b.N, fmt.Sprintf("%X", selectPIV), fmt.Sprintf("%X", getVersion))
		b.ReportMetric(float64(each), "ns/APDU")
	})
}

func measure(b *testing.B, transmit func(context.Context, []byte) ([]byte, error)) {
	ctx := context.Background()
	if got, err := transmit(ctx, selectPIV); err != nil || len(got) < 3 {
		b.Fatalf("SELECT: %X, %v", got, err)
	}
	for b.Loop() {
		got, err := transmit(ctx, getVersion)
		if err != nil || len(got) != 5 {
			b.Fatalf("GET VERSION: %X, %v", got, err)
		}
	}
}
