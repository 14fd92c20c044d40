package devfile_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2creg"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi/spireg"
	"periph.io/x/host/v3"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/devfile"
	"github.com/cloud-of-se/tses/drivers/driverstest/ordeal"
	"github.com/cloud-of-se/tses/drivers/i2c"
	"github.com/cloud-of-se/tses/drivers/spi"
)

const addr = 0x48

// TestKernelInterface drives simulated chips through periph.io as it is, by
// glob, open and ioctl: an SE050 on /dev/i2c-1 and a GlobalPlatform chip on
// /dev/spidev0.0, at the same time.
func TestKernelInterface(t *testing.T) {
	devfile.Private(t, serveChips, useChips)
}

// work is how long the chips need for a command.
const work = 3 * time.Millisecond

func serveChips(t *testing.T) {
	think := func([]byte) time.Duration { return work }
	se050 := chipsim.New(chipsim.Options{Family: chipsim.SE050, Brain: &ordeal.Brain{}, Think: think})
	bus := chipsim.NewI2C(400e3)
	bus.Attach(addr, se050)
	gp := chipsim.New(chipsim.Options{Family: chipsim.GP, Wire: chipsim.SPI, Brain: &ordeal.Brain{}, Think: think})
	for _, chip := range []*chipsim.Chip{se050, gp} {
		t.Cleanup(func() {
			for _, finding := range chip.Audit() {
				t.Errorf("%s: %s", chip, finding)
			}
			t.Logf("%s: %+v", chip, chip.Traffic())
			chip.Close()
		})
	}
	serve(t, func() (*devfile.File, error) { return devfile.I2C("/dev/i2c-1", bus) })
	serve(t, func() (*devfile.File, error) {
		return devfile.SPI("/dev/spidev0.0", chipsim.NewSPI("SPI0.0", gp))
	})
}

func useChips(t *testing.T) {
	state, err := host.Init()
	if err != nil {
		t.Fatal(err)
	}
	for _, failed := range state.Failed {
		t.Logf("periph.io: %v", failed) // spidev's module is not loaded here, which it reports
	}
	t.Run("i2c", func(t *testing.T) { t.Parallel(); overI2C(t) })
	t.Run("spi", func(t *testing.T) { t.Parallel(); overSPI(t) })
}

func serve(t *testing.T, start func() (*devfile.File, error)) {
	t.Helper()
	f, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

func overI2C(t *testing.T) {
	bus, err := i2creg.Open("/dev/i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
	se, err := i2c.New(bus, addr, &i2c.DefaultOpts)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, se)

	nobody, err := i2c.New(bus, addr+1, &i2c.DefaultOpts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.PowerOn(t.Context()); !errors.Is(err, drivers.ErrNoCard) {
		t.Errorf("PowerOn at an address without a chip: %v, want %v", err, drivers.ErrNoCard)
	}
}

func overSPI(t *testing.T) {
	port, err := spireg.Open("/dev/spidev0.0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := port.Close(); err != nil {
			t.Error(err)
		}
	})
	opts := spi.DefaultOpts
	opts.MaxClock = 8 * physic.MegaHertz
	se, err := spi.New(port, &opts)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, se)
}

// exchange sends commands of all sizes; what is said on the wire must be right
// and in the chip's time.
func exchange(t *testing.T, se drivers.SE) {
	atr, err := se.PowerOn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: answer to reset %X", se, atr)
	dice := rand.New(rand.NewPCG(1, 1))
	start, n := time.Now(), 0
	for i := range 60 {
		command := []byte{0x80, 0, 0, byte(i), byte(dice.IntN(256))}
		if i%3 == 0 {
			size := dice.IntN(1500) + 1
			command = append([]byte{0x80, 0, 1, byte(i), 0, byte(size >> 8), byte(size)}, make([]byte, size)...)
			command = append(command, byte(dice.IntN(8)), 1)
		}
		answer, err := se.Transmit(t.Context(), command)
		if want := ordeal.Answer(command); err != nil || !bytes.Equal(answer, want) {
			t.Fatalf("%s: command %d: %.8X of %d bytes, %v; want %.8X of %d bytes", se, i, answer, len(answer), err, want, len(want))
		}
		n++
	}
	t.Logf("%s: %d commands, %v each", se, n, time.Since(start)/time.Duration(n))
	if err := se.PowerOff(t.Context()); err != nil {
		t.Error(err)
	}
}
