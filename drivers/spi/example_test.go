package spi_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/conn/v3/spi/spireg"

	"github.com/cloud-of-se/tses/drivers/spi"
)

// A GlobalPlatform chip on the first chip select of a Raspberry Pi, with its
// reset on GPIO 25. Before this, host.Init of periph.io/x/host/v3 has to run.
func Example() {
	port, err := spireg.Open("/dev/spidev0.0")
	if err != nil {
		log.Fatal(err)
	}
	defer port.Close()
	opts := spi.DefaultOpts
	opts.Reset = gpioreg.ByName("GPIO25")
	se, err := spi.New(port, &opts)
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
