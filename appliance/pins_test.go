package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"github.com/cloud-of-se/tses/boards"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
	"github.com/cloud-of-se/tses/drivers/iso7816"
	"github.com/cloud-of-se/tses/drivers/softse"
)

// bench is a Raspberry Pi 4 with an SE050 on I2C, a GlobalPlatform chip on SPI
// and a SIM on the UART, each of which can be pulled out and plugged in. Their
// brains are software SEs.
type bench struct {
	bus    *chipsim.I2CBus
	slot   *cardsim.Slot
	brains map[string]*softse.Card
	noSIM  atomic.Bool

	mu    sync.Mutex
	chips map[string]*chipsim.Chip // nil: pulled out
}

// Both wait less for a lost block than chips do, for the tests' sake.
var benchFamilies = map[string]chipsim.Options{
	"se050": {Family: chipsim.SE050, BWT: 200 * time.Millisecond},
	"gp":    {Family: chipsim.GP, Wire: chipsim.SPI, BWT: 200 * time.Millisecond},
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{bus: chipsim.NewI2C(400_000), brains: make(map[string]*softse.Card), chips: make(map[string]*chipsim.Chip)}
	for _, name := range []string{"se050", "gp", "sim"} {
		opts := softse.DefaultOpts()
		opts.Name, opts.Packages, opts.T0 = name, softPackages(), name == "sim"
		brain, err := softse.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		b.brains[name] = brain
		b.plug(name)
	}
	var err error
	b.slot, err = cardsim.New(cardsim.Options{
		Brain: b.brains["sim"], ATR: cardsim.WithTA1(false, 0x95, 0, 0), Clock: 3600 * physic.KiloHertz, Empty: b.noSIM.Load,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for name, brain := range b.brains {
			b.pull(name)
			if err := brain.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, v := range b.slot.Violations() {
			t.Error("the driver breaks ISO/IEC 7816-3: ", v)
		}
	})
	return b
}

// plug puts a chip or the SIM into its place: it starts anew.
func (b *bench) plug(name string) {
	o, ok := benchFamilies[name]
	if !ok {
		b.noSIM.Store(false)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o.Brain = b.brains[name]
	b.chips[name] = chipsim.New(o)
	if name == "se050" {
		b.bus.Attach(0x48, b.chips[name])
	}
}

// pull takes it out.
func (b *bench) pull(name string) {
	if _, ok := benchFamilies[name]; !ok {
		b.noSIM.Store(true)
		return
	}
	b.mu.Lock()
	chip := b.chips[name]
	b.chips[name] = nil
	b.mu.Unlock()
	if name == "se050" {
		b.bus.Attach(0x48, nil)
	}
	if chip != nil {
		chip.Close()
	}
}

func (b *bench) chip(name string) *chipsim.Chip {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.chips[name]
}

// machine is a Raspberry Pi 4 on which all buses are on.
func (b *bench) machine() *machine {
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return &machine{fstest.MapFS{
		"proc/device-tree/model":                   text("Raspberry Pi 4 Model B Rev 1.4\x00"),
		"proc/device-tree/compatible":              text("raspberrypi,4-model-b\x00brcm,bcm2711\x00"),
		"sys/class/tty/ttyAMA0/device/of_node/reg": text("\x7e\x20\x10\x00\x00\x00\x02\x00"),
		"proc/cmdline":                             text("console=tty1\n"),
		"dev/i2c-1":                                text(""),
		"dev/spidev0.0":                            text(""),
	}, b}
}

// I2C implements [boards.Ports].
func (b *bench) I2C(device string) (i2c.BusCloser, error) {
	if device != "/dev/i2c-1" {
		return nil, fmt.Errorf("%s is not on the bench", device)
	}
	return b.bus, nil
}

// SPI implements [boards.Ports].
func (b *bench) SPI(device string) (spi.PortCloser, error) {
	if device != "/dev/spidev0.0" {
		return nil, fmt.Errorf("%s is not on the bench", device)
	}
	return chipsim.NewSPIDecoded("SPI0.0", func() *chipsim.Chip { return b.chip("gp") }), nil
}

// Out implements [boards.Ports]: the only pin is that of the SE050.
func (b *bench) Out(p boards.Pin) (gpio.PinOut, error) {
	if p != boards.GPIO(22) {
		return nil, fmt.Errorf("%s is not on the bench", p)
	}
	return enable{gpio.INVALID, b}, nil
}

// In implements [boards.Ports].
func (b *bench) In(p boards.Pin) (gpio.PinIn, error) {
	return nil, fmt.Errorf("%s is not on the bench", p)
}

// Card implements [boards.Ports].
func (b *bench) Card(at boards.CardPorts) (iso7816.UART, iso7816.Contacts, iso7816.Clock, error) {
	if at.Device != "/dev/ttyAMA0" || at.ClockPin != boards.GPIO(4) {
		return nil, nil, nil, fmt.Errorf("%+v is not on the bench", at)
	}
	return b.slot, b.slot, b.slot, nil
}

// enable is the pin ENA of the SE050 that is plugged in.
type enable struct {
	gpio.PinOut
	bench *bench
}

func (e enable) Out(l gpio.Level) error {
	if chip := e.bench.chip("se050"); chip != nil {
		return chipsim.NewResetPin(chip, gpio.Low).Out(l)
	}
	return nil
}

// benchConfig is the configuration file of the bench.
const benchConfig = `
[[element]]
seid    = "se050"
driver  = "i2c"
carrier = "se050-arduino"

[[element]]
seid    = "gp"
driver  = "spi"
carrier = "gp-spi"

[[element]]
seid    = "sim"
driver  = "iso7816"
carrier = "sim-uart"
detect  = "GPIO23"
`

// start runs the TSES of the bench and returns its address.
func (b *bench) start(t *testing.T, state string, log io.Writer) (addr string) {
	t.Helper()
	config := wireConfig(t, benchConfig)
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serve(ctx, flags{config: config, state: state, listen: "127.0.0.1:0", machine: b.machine()}, io.MultiWriter(w, log))
		ended <- errors.Join(err, w.Close())
	}()
	ready := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if addr, ok := strings.CutPrefix(lines.Text(), "RACS ready on "); ok {
				ready <- addr
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case addr = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("%v\n%s", err, log)
	}
	return addr
}

// TestPins serves three chips on three buses from one configuration file, and
// its users pull them out and plug them in.
func TestPins(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the client")
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "../cmd/racs").CombinedOutput(); err != nil {
		t.Fatalf("build the client: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/pins",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			b, log, state := newBench(t), new(logBuffer), filepath.Join(env.WorkDir, "state")
			addr := b.start(t, state, log)
			env.Values["bench"], env.Values["log"] = b, log
			env.Setenv("PATH", dir+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("RACS_SERVER", addr)
			env.Setenv("RACS_CA", filepath.Join(state, "ca.pem"))
			env.Setenv("RACS_CRED", filepath.Join(state, "credentials", "user.pem"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"pull": func(ts *testscript.TestScript, _ bool, args []string) { ts.Value("bench").(*bench).pull(args[0]) },
			"plug": func(ts *testscript.TestScript, _ bool, args []string) { ts.Value("bench").(*bench).plug(args[0]) },
			"logged": func(ts *testscript.TestScript, neg bool, args []string) {
				if log := ts.Value("log").(*logBuffer).String(); strings.Contains(log, args[0]) == neg {
					ts.Fatalf("the log has %q: %v:\n%s", args[0], !neg, log)
				}
			},
		},
	})
}
