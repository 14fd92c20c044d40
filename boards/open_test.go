package boards

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	i2cdriver "github.com/cloud-of-se/tses/drivers/i2c"
	"github.com/cloud-of-se/tses/drivers/iso7816"
	spidriver "github.com/cloud-of-se/tses/drivers/spi"
)

// bench is simulated buses with one chip each, and remembers what was opened.
type bench struct {
	bus    *chipsim.I2CBus
	port   *chipsim.SPIPort
	slot   *cardsim.Slot
	reset  map[Pin]gpio.PinOut
	in     gpio.PinIn
	opened []string
	closed int
	card   CardPorts
	fails  error
}

func (b *bench) I2C(device string) (i2c.BusCloser, error) {
	b.opened = append(b.opened, device)
	return &closing{b.bus, b}, b.fails
}

func (b *bench) SPI(device string) (spi.PortCloser, error) {
	b.opened = append(b.opened, device)
	return b.port, b.fails
}

func (b *bench) Out(p Pin) (gpio.PinOut, error) {
	b.opened = append(b.opened, p.name())
	if b.reset[p] == nil {
		return nil, fmt.Errorf("%s: not simulated", p)
	}
	return b.reset[p], nil
}

func (b *bench) In(p Pin) (gpio.PinIn, error) {
	if b.in == nil {
		return nil, fmt.Errorf("%s: not simulated", p)
	}
	return b.in, nil
}

func (b *bench) Card(at CardPorts) (iso7816.UART, iso7816.Contacts, iso7816.Clock, error) {
	b.opened, b.card = append(b.opened, at.Device), at
	return b.slot, b.slot, b.slot, b.fails
}

// closing counts closings.
type closing struct {
	i2c.BusCloser
	bench *bench
}

func (c *closing) Close() error {
	c.bench.closed++
	return nil
}

func scripted() drivers.SE { return driverstest.NewScripted(driverstest.Options{}) }

// talk powers an SE on, asks it and powers it off.
func talk(t *testing.T, se drivers.SE, closer io.Closer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := se.PowerOn(ctx); err != nil {
		t.Error(err)
		return
	}
	answer, err := se.Transmit(ctx, []byte{0x80, 0x10, 0, 8, 8})
	if want := append(driverstest.Pattern(8), 0x90, 0); err != nil || !bytes.Equal(answer, want) {
		t.Errorf("%X %v, want %X", answer, err, want)
	}
	if err := errors.Join(se.PowerOff(ctx), closer.Close()); err != nil {
		t.Error(err)
	}
}

func TestOpenI2C(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := chipsim.New(chipsim.Options{Family: chipsim.SE050, Brain: scripted()})
		defer chip.Close()
		b := &bench{bus: chipsim.NewI2C(400_000)}
		b.bus.Attach(0x48, chip)
		b.reset = map[Pin]gpio.PinOut{GPIO(22): chipsim.NewResetPin(chip, gpio.Low)}
		se, closer, err := byName(t, "4b").Open(wired(t, Element{Driver: I2C, Carrier: "se050-arduino"})[0], b)
		if err != nil {
			t.Fatal(err)
		}
		talk(t, se, closer)
		if diff := cmp.Diff([]string{"GPIO22", "/dev/i2c-1"}, b.opened); diff != "" || b.closed != 1 {
			t.Error(diff, b.closed)
		}
	})
}

func TestOpenSPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := chipsim.New(chipsim.Options{Family: chipsim.GP, Wire: chipsim.SPI, Brain: scripted()})
		defer chip.Close()
		b := &bench{port: chipsim.NewSPI("SPI1.2", chip)}
		se, closer, err := byName(t, "4b").Open(wired(t, Element{Driver: SPI, Carrier: "gp-spi", Bus: "spi1", ChipSelect: &two, Clock: "4 MHz"})[0], b)
		if err != nil {
			t.Fatal(err)
		}
		talk(t, se, closer)
		if diff := cmp.Diff([]string{"/dev/spidev1.2"}, b.opened); diff != "" {
			t.Error(diff)
		}
	})
}

// levelPin is an address pin.
type levelPin struct {
	gpio.PinOut
	level *gpio.Level
}

func (p levelPin) Out(l gpio.Level) error {
	*p.level = l
	return nil
}

// TestOpenBehindADecoder: two chips share a decoder, which is connected to once
// and closed with the last of them.
func TestOpenBehindADecoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chips := make([]*chipsim.Chip, 4)
		for _, n := range []int{1, 2} {
			chips[n] = chipsim.New(chipsim.Options{Family: chipsim.GP, Wire: chipsim.SPI, Brain: scripted()})
			defer chips[n].Close()
		}
		var low, high gpio.Level
		board := byName(t, "3b")
		for range 2 {
			b := &bench{
				port: chipsim.NewSPIDecoded("SPI0.0", func() *chipsim.Chip {
					return chips[map[gpio.Level]int{gpio.High: 1}[low]+map[gpio.Level]int{gpio.High: 2}[high]]
				}),
				reset: map[Pin]gpio.PinOut{GPIO(5): levelPin{gpio.INVALID, &low}, GPIO(6): levelPin{gpio.INVALID, &high}},
			}
			ws := wired(t, decoded(&one, ""), decoded(&two, ""))
			first, closeFirst, err := board.Open(ws[0], b)
			if err != nil {
				t.Fatal(err)
			}
			second, closeSecond, err := board.Open(ws[1], b)
			if err != nil {
				t.Fatal(err)
			}
			talk(t, first, closeFirst)
			talk(t, second, closeSecond)
			if diff := cmp.Diff([]string{"GPIO5", "GPIO6", "/dev/spidev0.0"}, b.opened); diff != "" || len(board.decoders) != 0 {
				t.Error(diff, board.decoders)
			}
		}
	})
}

func TestOpenCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slot, err := cardsim.New(cardsim.Options{Brain: scripted(), ATR: cardsim.WithTA1(false, 0x95, 0, 0), Clock: 3600 * physic.KiloHertz})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{slot: slot}
		root := with(machine(t, "4b"), "sys/class/tty/ttyAMA5/device/of_node/reg", "\x7e\x20\x1a\x00\x00\x00\x02\x00")
		w := wired(t, Element{Driver: ISO7816, Carrier: "sim-uart", Bus: "uart5", ClockPin: "GPIO6", Detect: "GPIO22"})[0]
		se, closer, err := detect(t, root).Open(w, b)
		if err != nil {
			t.Fatal(err)
		}
		talk(t, se, closer)
		want := CardPorts{
			Device: "/dev/ttyAMA5", SoC: iso7816.BCM2711, Clock: 3600 * physic.KiloHertz, ClockPin: GPIO(6),
			Reset: Line{Pin: GPIO(17), Active: gpio.Low}, Power: Line{Pin: GPIO(27), Active: gpio.High}, Detect: Line{Pin: GPIO(22), Active: gpio.Low},
		}
		if diff := cmp.Diff(want, b.card); diff != "" {
			t.Error(diff)
		}
		if got := b.slot.Violations(); got != nil {
			t.Error(got)
		}
	})
}

// TestOpenAnyTCK: a card with a wrong TCK serves where the table asks for it.
func TestOpenAnyTCK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := cardsim.WithTA1(false, 0x95, 0, 1)
		sends := append([]byte(nil), good...)
		sends[len(sends)-1] ^= 1
		slot, err := cardsim.New(cardsim.Options{Brain: scripted(), ATR: good, Sends: sends, Clock: 3579545 * physic.Hertz})
		if err != nil {
			t.Fatal(err)
		}
		w := wired(t, Element{Driver: ISO7816, Carrier: "phoenix", Device: "/dev/ttyUSB0", AnyTCK: true})[0]
		se, closer, err := byName(t, "3b").Open(w, &bench{slot: slot})
		if err != nil {
			t.Fatal(err)
		}
		talk(t, se, closer)
	})
}

// TestOptions: what a table says reaches the driver, and what it does not say is
// the driver's own.
func TestOptions(t *testing.T) {
	line := gpio.INVALID
	b := &bench{reset: map[Pin]gpio.PinOut{GPIO(24): line}, in: line}
	said := Element{Dialect: "nxp-gp", Reset: "GPIO24 active high", Interrupt: "GPIO23 active low", ResetPulse: "1ms", BootTime: "7ms", Clock: "1 MHz"}
	e := said
	e.Driver, e.Bus, e.Address = I2C, "i2c1", 0x48
	got, err := (&plan{Wiring: &wired(t, e)[0]}).i2cOpts(b)
	want := i2cdriver.DefaultOpts
	want.Dialect, want.Reset, want.ResetActive, want.ResetPulse, want.Boot = "nxp-gp", line, gpio.High, time.Millisecond, 7*time.Millisecond
	want.Interrupt, want.InterruptActive = line, gpio.Low
	if err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	e = said
	e.Driver, e.Bus = SPI, "spi0"
	gotSPI, err := (&plan{Wiring: &wired(t, e)[0]}).spiOpts(b)
	wantSPI := spidriver.DefaultOpts
	wantSPI.Dialect, wantSPI.Reset, wantSPI.ResetActive, wantSPI.ResetPulse, wantSPI.Boot = "nxp-gp", line, gpio.High, time.Millisecond, 7*time.Millisecond
	wantSPI.Interrupt, wantSPI.InterruptActive, wantSPI.MaxClock = line, gpio.Low, physic.MegaHertz
	if err != nil || gotSPI != wantSPI {
		t.Errorf("%+v %v, want %+v", gotSPI, err, wantSPI)
	}
	gotSPI, err = (&plan{Wiring: &wired(t, Element{Driver: SPI, Carrier: "gp-spi"})[0]}).spiOpts(b)
	if err != nil || gotSPI.MaxClock != spidriver.DefaultOpts.MaxClock || gotSPI.ResetPulse != spidriver.DefaultOpts.ResetPulse || gotSPI.Reset != nil {
		t.Errorf("%+v %v, want the driver's own", gotSPI, err)
	}
	gotI2C, err := (&plan{Wiring: &wired(t, Element{Driver: I2C, Carrier: "optiga-nbt"})[0]}).i2cOpts(b)
	if err != nil || gotI2C.ResetPulse != i2cdriver.DefaultOpts.ResetPulse {
		t.Errorf("%+v %v, want the driver's own", gotI2C, err)
	}
}

// TestCardClock: a clock that nobody wished is the board's; one that was is not.
func TestCardClock(t *testing.T) {
	for _, test := range []struct {
		board *Board
		clock physic.Frequency
		want  physic.Frequency
	}{
		{byName(t, "3b"), 0, 3840 * physic.KiloHertz}, {byName(t, "4b"), 0, 3600 * physic.KiloHertz},
		{byName(t, "4b"), 4 * physic.MegaHertz, 4 * physic.MegaHertz}, {detect(t, fstest.MapFS{}), 4 * physic.MegaHertz, 4 * physic.MegaHertz},
	} {
		if got := test.board.cardClock(&plan{Wiring: &Wiring{Clock: test.clock}}); got != test.want {
			t.Errorf("%s, %s: %s, want %s", test.board, test.clock, got, test.want)
		}
	}
}

func TestOpenFails(t *testing.T) {
	gone := errors.New("gone")
	for _, test := range []struct {
		name, board string
		e           Element
		bench       bench
		want        string
	}{
		{"no such bus", "3b", Element{Driver: I2C, Carrier: "se050-arduino", Bus: "i2c6"}, bench{}, `element "a": a Raspberry Pi 3 Model B has no i2c6; it has i2c-gpio, i2c0, i2c1`},
		{"bus is gone", "3b", Element{Driver: I2C, Carrier: "optiga-nbt"}, bench{fails: gone}, `element "a": gone`},
		{"port is gone", "3b", Element{Driver: SPI, Carrier: "gp-spi"}, bench{fails: gone}, `element "a": gone`},
		{"adapter is gone", "3b", Element{Driver: ISO7816, Carrier: "phoenix"}, bench{fails: gone}, `element "a": gone`},
		{"no tty", "3b", Element{Driver: ISO7816, Carrier: "sim-uart"}, bench{}, `element "a": uart0 is off: it has no tty`},
		{"no decoder pin", "3b", decoded(&one, ""), bench{}, `element "a": decoder: GPIO5 (pin 29): not simulated`},
		{"no reset pin", "3b", Element{Driver: SPI, Carrier: "gp-spi", Reset: "GPIO24"}, bench{}, `element "a": reset: GPIO24 (pin 18): not simulated`},
		{"no interrupt pin", "3b", Element{Driver: I2C, Carrier: "optiga-nbt", Interrupt: "GPIO24"}, bench{}, `element "a": interrupt: GPIO24 (pin 18): not simulated`},
	} {
		se, closer, err := byName(t, test.board).Open(wired(t, test.e)[0], &test.bench)
		if se != nil || closer != nil || errorText(err) != test.want {
			t.Errorf("%s: %v %v, want %s", test.name, se, err, test.want)
		}
	}
}
