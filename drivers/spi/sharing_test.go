package spi_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"

	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/ordeal"
	"github.com/cloud-of-se/tses/drivers/spi"
)

// TestDecoder: four chips of unlike clocks and dialects behind one chip select,
// all at work at the same time.
func TestDecoder(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("own enable pin %v", own), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { decoder(t, own) })
		})
	}
}

func decoder(t *testing.T, ownEnable bool) {
	const work = 20 * time.Millisecond
	a0, a1, enable := chipsim.NewPin("A0"), chipsim.NewPin("A1"), chipsim.NewPin("EN")
	families := []*chipsim.Family{chipsim.GP, chipsim.NXPeSE, chipsim.Thales, chipsim.NXPGP}
	names := []string{spi.GlobalPlatform, spi.NXPeSE, spi.Thales, spi.NXPGlobalPlatform}
	var chips []*chipsim.Chip
	for _, family := range families {
		chip := chipsim.New(chipsim.Options{Family: family, Wire: chipsim.SPI, Brain: &ordeal.Brain{}, Think: func([]byte) time.Duration { return work }})
		t.Cleanup(chip.Close)
		chips = append(chips, chip)
	}
	port := chipsim.NewSPIDecoded("SPI0.0", func() *chipsim.Chip {
		if ownEnable && enable.Read() != gpio.Low {
			return nil
		}
		n := 0
		if a0.Read() {
			n++
		}
		if a1.Read() {
			n += 2
		}
		return chips[n]
	})
	opts := spi.DecoderOpts{Address: []gpio.PinOut{a0, a1}, MaxClock: 20 * physic.MegaHertz}
	if ownEnable {
		opts.Enable, opts.EnableActive = enable, gpio.Low
	}
	d, err := spi.NewDecoder(port, &opts)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var all sync.WaitGroup
	for n := range chips {
		all.Go(func() { useOutput(t, d, n, names[n]) })
	}
	all.Wait()
	if took := time.Since(start); took > 20*work {
		t.Errorf("four chips with ten commands each took %v: they wait for each other", took)
	}
	for _, chip := range chips {
		rightful(t, chip)
	}
}

func useOutput(t *testing.T, d *spi.Decoder, n int, dialect string) {
	port, err := d.Port(n)
	if err != nil {
		t.Error(err)
		return
	}
	o := spi.DefaultOpts
	o.Dialect = dialect
	se, err := spi.New(port, &o)
	if err != nil {
		t.Error(err)
		return
	}
	if want := fmt.Sprintf("spi(SPI0.0/%d)", n); se.String() != want {
		t.Errorf("String: %q, want %q", se, want)
	}
	if _, err := se.PowerOn(t.Context()); err != nil {
		t.Error(err)
		return
	}
	for i := range 10 {
		command := []byte{0x80, byte(n), byte(i), 0, 16}
		answer, err := se.Transmit(t.Context(), command)
		if want := ordeal.Answer(command); err != nil || string(answer) != string(want) {
			t.Errorf("output %d: got %X, %v; want %X", n, answer, err, want)
		}
	}
	if err := se.Halt(); err != nil {
		t.Error(err)
	}
}

func TestDecoderRefuses(t *testing.T) {
	port := chipsim.NewSPI("SPI0.0", nil)
	if _, err := spi.NewDecoder(port, &spi.DecoderOpts{}); err == nil {
		t.Error("a decoder without address pins")
	}
	d, err := spi.NewDecoder(port, &spi.DecoderOpts{Address: []gpio.PinOut{chipsim.NewPin("A0")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{-1, 2} {
		if _, err := d.Port(n); err == nil {
			t.Errorf("output %d of 2", n)
		}
	}
}
