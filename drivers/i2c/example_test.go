package i2c_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/conn/v3/i2c/i2creg"

	"github.com/cloud-of-se/tses/drivers/i2c"
)

// An SE050 on the first bus of a Raspberry Pi, with its ENA on GPIO 22. Before
// this, host.Init of periph.io/x/host/v3 has to run.
func Example() {
	bus, err := i2creg.Open("/dev/i2c-1")
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	opts := i2c.DefaultOpts
	opts.Reset = gpioreg.ByName("GPIO22")
	se, err := i2c.New(bus, 0x48, &opts)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	atr, err := se.PowerOn(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %X\n", se, atr)
}
