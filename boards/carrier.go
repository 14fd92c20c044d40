package boards

import (
	"fmt"
	"strings"
)

// Carrier is a ready-made entry: a board that carries a chip or a card, wired
// as its maker or this project says.
type Carrier struct {
	Name    string
	Element Element
	About   string // what it is and how to wire it
}

// Carriers lists the ready-made entries. One on I2C, one on SPI, one on uart0
// and adapters on USB can be used at the same time as they are.
func Carriers() []Carrier { return append([]Carrier(nil), carriers...) }

var carriers = []Carrier{
	{
		Name: "se050-arduino",
		Element: Element{
			Driver: I2C, Dialect: "um11225", Bus: "i2c1", Address: 0x48, Clock: "400 kHz",
			Reset: "GPIO22 active low", ResetPulse: "2ms", BootTime: "3ms",
		},
		About: "NXP's Arduino shield OM-SE050ARD (SE050, SE051, A5000) on the adapter OM-SE050RPI: ENA of the chip on GPIO22, low is off",
	},
	{
		Name: "se052-arduino",
		Element: Element{
			Driver: I2C, Dialect: "nxp-gp", Bus: "i2c1", Address: 0x48, Clock: "400 kHz",
			Reset: "GPIO22 active high", ResetPulse: "2ms", BootTime: "3ms",
		},
		About: "an SE052F wired as the shield of the SE050; its ENA is the other way round",
	},
	{
		Name:    "optiga-nbt",
		Element: Element{Driver: I2C, Dialect: "gp", Bus: "i2c1", Address: 0x18, Clock: "400 kHz"},
		About:   "Infineon's OPTIGA Authenticate NBT on I2C, without a reset line",
	},
	{
		Name:    "iose-grid",
		Element: Element{Driver: I2C, Dialect: "iose", Bus: "i2c1", Clock: "100 kHz"},
		About:   "a board of the IoSE grids; its address has to be given, and its reset where it is wired",
	},
	{
		Name:    "gp-spi",
		Element: Element{Driver: SPI, Dialect: "gp", Bus: "spi0"},
		About:   "a chip with GlobalPlatform's T=1' (GPC_SPE_172) on SPI0, chip select 0",
	},
	{
		Name:    "sim-uart",
		Element: Element{Driver: ISO7816, Bus: "uart0", ClockPin: "GPIO4", Reset: "GPIO17 active low", Power: "GPIO27 active high"},
		About:   "a card or SIM socket: I/O on GPIO15 and, through a diode, GPIO14; CLK on GPIO4, RST on GPIO17, the switch of VCC on GPIO27",
	},
	{
		Name:    "sim-uart-oscillator",
		Element: Element{Driver: ISO7816, Bus: "uart0", ClockPin: "external", Clock: "3.579545 MHz", Reset: "GPIO17 active low", Power: "GPIO27 active high"},
		About:   "the same with an oscillator of 3.579545 MHz at CLK; the only one for a Raspberry Pi 5",
	},
	{
		Name:    "phoenix",
		Element: Element{Driver: ISO7816, Device: "/dev/ttyUSB0", ClockPin: "external", Clock: "3.579545 MHz", Reset: "RTS active high"},
		About:   "a Phoenix adapter on USB: the card is reset while RTS is on",
	},
	{
		Name:    "smartmouse",
		Element: Element{Driver: ISO7816, Device: "/dev/ttyUSB0", ClockPin: "external", Clock: "3.579545 MHz", Reset: "RTS active low"},
		About:   "a Smartmouse adapter on USB: the card is reset while RTS is off",
	},
}

func carrier(name string) (Carrier, error) {
	names := make([]string, len(carriers))
	for i, c := range carriers {
		if c.Name == name {
			return c, nil
		}
		names[i] = c.Name
	}
	return Carrier{}, fmt.Errorf("carrier %.32q is not known; there is %s", name, strings.Join(names, ", "))
}
