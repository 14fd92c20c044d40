package pcsc

import (
	"testing"

	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
	"github.com/cloud-of-se/tses/pcsclite"
)

// BenchmarkTransmit measures a command by way of the driver, and by way of
// pcscd's socket alone: what the driver adds is their difference.
func BenchmarkTransmit(b *testing.B) {
	if !vpcd.Isolated(b) {
		return
	}
	p := vpcd.Start(b, "A")
	p.Insert("A0", sim())
	h := NewHost(Options{})
	se, err := h.Element(Match{Reader: p.Reader("A0")})
	if err != nil {
		b.Fatal(err)
	}
	h.Start(b.Context())
	defer h.Close()
	eventually(b, "the card answers", func() bool { return powersOn(b, se) })
	read := unhex(b, "00B0000010")
	b.Run("driver", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := se.Transmit(b.Context(), read); err != nil {
				b.Fatal(err)
			}
		}
	})
	if err := se.PowerOff(b.Context()); err != nil {
		b.Fatal(err)
	}
	c, err := pcsclite.Dial(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	card, err := c.Connect(b.Context(), p.Reader("A0"), pcsclite.Exclusive, pcsclite.ProtocolAny)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("socket", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := card.Transmit(b.Context(), read); err != nil {
				b.Fatal(err)
			}
		}
	})
	if err := card.Disconnect(b.Context(), pcsclite.Unpower); err != nil {
		b.Fatal(err)
	}
}
