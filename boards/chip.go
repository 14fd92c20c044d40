package boards

import (
	"fmt"
	"slices"
	"strings"

	"periph.io/x/conn/v3/physic"

	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// kind is what a bus speaks.
type kind string

const (
	i2cBus  kind = "I2C"
	spiBus  kind = "SPI"
	uartBus kind = "UART"
)

// bus is one bus of a processor.
type bus struct {
	name   string
	kind   kind
	node   string // its node in the device tree, under "soc"; empty where it has none of its own
	reg    string // how its node's reg begins
	device string // its device file; a number follows for the SPI's chip select; UARTs are looked for
	routes []route
	cs     []Pin // SPI: the chip selects in their order

	noParity bool   // the mini UART
	kernel   string // the kernel driver that the SD-card image's kernel lacks
	most     physic.Frequency
}

// route is a choice of pins for a bus and what config.txt says to get it; %d
// is the clock in Hz.
type route struct {
	pins  []Pin
	lines []string
}

// chip is a processor with its buses and clocks. Of several buses the first is
// proposed where one is wanted: those on GPIO0 and 1, the pins of a HAT's
// EEPROM, come last.
type chip struct {
	name     string
	soc      iso7816.SoC // its clock manager, where that is documented
	gpio     string      // how the label of its GPIO controller begins
	clocks   []output
	preset   physic.Frequency // the card's clock where none is wished: a whole part of the oscillator's
	buses    []bus
	noClocks string // why there are no clocks
}

func (c *chip) bus(name string) (*bus, bool) {
	for i := range c.buses {
		if c.buses[i].name == name {
			return &c.buses[i], true
		}
	}
	return nil, false
}

// names lists the buses of a kind.
func (c *chip) names(k kind) string {
	var names []string
	for _, b := range c.buses {
		if b.kind == k && !b.noParity {
			names = append(names, b.name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// bcm2837 is in the 3, 3+, CM3 and Zero 2 W. Its GPCLK1 clocks the Ethernet
// chip and its GPCLK2 the radio, both on pins that are not led out.
var bcm2837 = chip{
	name: "BCM2837", soc: iso7816.BCM2837, gpio: "pinctrl-bcm2835",
	preset: 3_840 * physic.KiloHertz,
	clocks: []output{{0, GPIO(4)}, {0, GPIO(20)}},
	buses:  []bus{i2c1, i2c0, i2cGPIO, spi0, spi1, uart0, miniUART},
}

// bcm2711 is in the 4, 400, CM4 and CM4S.
var bcm2711 = chip{
	name: "BCM2711", soc: iso7816.BCM2711, gpio: "pinctrl-bcm2711",
	preset: 3_600 * physic.KiloHertz,
	clocks: []output{{0, GPIO(4)}, {0, GPIO(20)}, {2, GPIO(6)}},
	buses: []bus{
		i2c1,
		i2cOverlay(3, "i2c@7e205600", [2]int{4, 5}, [2]int{2, 3}),
		i2cOverlay(4, "i2c@7e205800", [2]int{8, 9}, [2]int{6, 7}),
		i2cOverlay(5, "i2c@7e205a00", [2]int{12, 13}, [2]int{10, 11}),
		i2cOverlay(6, "i2c@7e205c00", [2]int{22, 23}, [2]int{0, 1}),
		i2c0, i2cGPIO,
		spi0, spi1,
		spiOverlay(3, "spi@7e204600", gpios(1, 2, 3), gpios(0, 24)),
		spiOverlay(4, "spi@7e204800", gpios(5, 6, 7), gpios(4, 25)),
		spiOverlay(5, "spi@7e204a00", gpios(13, 14, 15), gpios(12, 26)),
		spiOverlay(6, "spi@7e204c00", gpios(19, 20, 21), gpios(18, 27)),
		uart0,
		uartOverlay(5, "serial@7e201a00", "\x7e\x20\x1a\x00", 12, 13),
		uartOverlay(4, "serial@7e201800", "\x7e\x20\x18\x00", 8, 9),
		uartOverlay(3, "serial@7e201600", "\x7e\x20\x16\x00", 4, 5),
		uartOverlay(2, "serial@7e201400", "\x7e\x20\x14\x00", 0, 1),
		miniUART,
	},
}

// bcm2712 is in the 5, 500 and CM5, where the header hangs on the RP1. Its
// buses are not under "soc", so they have no node here.
var bcm2712 = chip{
	name: "BCM2712", gpio: "pinctrl-rp1",
	noClocks: "how the RP1 puts a clock on a pin is not documented",
	buses: []bus{
		{name: "i2c1", kind: i2cBus, device: "/dev/i2c-1", kernel: "i2c-designware", most: physic.MegaHertz,
			routes: []route{{gpios(2, 3), []string{"dtparam=i2c_arm=on", "dtparam=i2c_arm_baudrate=%d"}}}},
		{name: "spi0", kind: spiBus, device: "/dev/spidev0.", kernel: "spi-dw", cs: gpios(8, 7), most: 50 * physic.MegaHertz,
			routes: []route{{gpios(9, 10, 11), []string{"dtparam=spi=on"}}}},
		rp1UART(0, "\x00\x00\x00\xc0\x40\x03\x00\x00", 14, 15),
		rp1UART(1, "\x00\x00\x00\xc0\x40\x03\x40\x00", 0, 1),
		rp1UART(2, "\x00\x00\x00\xc0\x40\x03\x80\x00", 4, 5),
		rp1UART(3, "\x00\x00\x00\xc0\x40\x03\xc0\x00", 8, 9),
		rp1UART(4, "\x00\x00\x00\xc0\x40\x04\x00\x00", 12, 13),
	},
}

// The buses of every processor up to the BCM2711.
var (
	i2c1 = bus{name: "i2c1", kind: i2cBus, node: "i2c@7e804000", device: "/dev/i2c-1", most: physic.MegaHertz,
		routes: []route{{gpios(2, 3), []string{"dtparam=i2c_arm=on", "dtparam=i2c_arm_baudrate=%d"}}}}
	i2c0 = bus{name: "i2c0", kind: i2cBus, node: "i2c@7e205000", device: "/dev/i2c-0", most: physic.MegaHertz,
		routes: []route{{gpios(0, 1), []string{"dtparam=i2c_vc=on", "dtparam=i2c_vc_baudrate=%d"}}}}
	i2cGPIO = bus{name: "i2c-gpio", kind: i2cBus, device: "/dev/i2c-8", most: 100 * physic.KiloHertz,
		routes: []route{{gpios(23, 24), []string{"dtoverlay=i2c-gpio,bus=8,i2c_gpio_sda=23,i2c_gpio_scl=24"}}}}
	spi0 = bus{name: "spi0", kind: spiBus, node: "spi@7e204000", device: "/dev/spidev0.", cs: gpios(8, 7), most: 125 * physic.MegaHertz,
		routes: []route{{gpios(9, 10, 11), []string{"dtparam=spi=on"}}}}
	spi1 = bus{name: "spi1", kind: spiBus, node: "spi@7e215080", device: "/dev/spidev1.", cs: gpios(18, 17, 16), most: 125 * physic.MegaHertz,
		routes: []route{{gpios(19, 20, 21), []string{"dtoverlay=spi1-%dcs"}}}}
	uart0 = bus{name: "uart0", kind: uartBus, node: "serial@7e201000", reg: "\x7e\x20\x10\x00",
		routes: []route{{gpios(14, 15), []string{"enable_uart=1", noBluetooth}}}}
	miniUART = bus{name: "uart1", kind: uartBus, node: "serial@7e215040", reg: "\x7e\x21\x50\x40", noParity: true,
		routes: []route{{gpios(14, 15), nil}}}
)

// noBluetooth gives uart0 the pins of the header. The overlay does not apply
// to a model without Bluetooth, where uart0 has them anyway.
const noBluetooth = "dtoverlay=disable-bt"

// i2cOverlay is an I2C that an overlay leads out, on one of two pairs of pins.
func i2cOverlay(n int, node string, pairs ...[2]int) bus {
	b := bus{name: fmt.Sprintf("i2c%d", n), kind: i2cBus, node: node, device: fmt.Sprintf("/dev/i2c-%d", n), most: physic.MegaHertz}
	for _, p := range pairs {
		line := fmt.Sprintf("dtoverlay=i2c%d,pins_%d_%d,baudrate=%%d", n, p[0], p[1])
		b.routes = append(b.routes, route{gpios(p[0], p[1]), []string{line}})
	}
	return b
}

// spiOverlay is an SPI that an overlay leads out. pins are MISO, MOSI, SCLK.
func spiOverlay(n int, node string, pins, cs []Pin) bus {
	return bus{name: fmt.Sprintf("spi%d", n), kind: spiBus, node: node, device: fmt.Sprintf("/dev/spidev%d.", n), cs: cs,
		most: 125 * physic.MegaHertz, routes: []route{{pins, []string{fmt.Sprintf("dtoverlay=spi%d-%%dcs", n)}}}}
}

// uartOverlay is a PL011 that an overlay leads out.
func uartOverlay(n int, node, reg string, tx, rx int) bus {
	return bus{name: fmt.Sprintf("uart%d", n), kind: uartBus, node: node, reg: reg,
		routes: []route{{gpios(tx, rx), []string{fmt.Sprintf("dtoverlay=uart%d", n)}}}}
}

func rp1UART(n int, reg string, tx, rx int) bus {
	return bus{name: fmt.Sprintf("uart%d", n), kind: uartBus, reg: reg,
		routes: []route{{gpios(tx, rx), []string{fmt.Sprintf("dtoverlay=uart%d-pi5", n)}}}}
}
