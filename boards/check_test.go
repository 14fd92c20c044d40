package boards

import (
	"testing"
	"testing/fstest"
)

// TestRefusals has one case for each way in which a wiring cannot work.
func TestRefusals(t *testing.T) {
	se050 := Element{Driver: I2C, Carrier: "se050-arduino"}
	gp := Element{Driver: SPI, Carrier: "gp-spi"}
	sim := Element{Driver: ISO7816, Carrier: "sim-uart"}
	oscillator := Element{Driver: ISO7816, Carrier: "sim-uart-oscillator"}
	for _, test := range []struct {
		name     string
		board    string
		elements []Element
		want     []string
	}{
		{"GPCLK0 against UART3 on a Pi 4", "4b", []Element{{Driver: ISO7816, Carrier: "sim-uart", Bus: "uart3"}}, []string{
			`element "a": GPIO4 (pin 7) is clock of "a" and uart3 of "a"; uart0 is free: bus = "uart0" on GPIO14, GPIO15; config.txt: enable_uart=1, dtoverlay=disable-bt`}},
		{"GPCLK0 against UART3 of another", "4b", []Element{sim, {Driver: ISO7816, Bus: "uart3", ClockPin: "external", Clock: "3.579545 MHz", Reset: "GPIO23"}}, []string{
			`element "a": GPIO4 (pin 7) is clock of "a" and uart3 of "b"; uart5 is free: bus = "uart5" on GPIO12, GPIO13; config.txt: dtoverlay=uart5`,
			`element "b": GPIO4 (pin 7) is clock of "a" and uart3 of "b"; uart5 is free: bus = "uart5" on GPIO12, GPIO13; config.txt: dtoverlay=uart5`}},
		{"mini UART", "3b", []Element{{Driver: ISO7816, Carrier: "sim-uart", Bus: "uart1"}}, []string{
			`element "a": uart1 is the mini UART, which has no parity bit, and a card needs one; uart0 is free: bus = "uart0" on GPIO14, GPIO15; config.txt: enable_uart=1, dtoverlay=disable-bt`}},
		{"bus that the model has not", "3b", []Element{{Driver: ISO7816, Carrier: "sim-uart", Bus: "uart5"}}, []string{
			`element "a": a Raspberry Pi 3 Model B has no uart5; it has uart0`}},
		{"I2C that the model has not", "zero2w", []Element{{Driver: I2C, Carrier: "se050-arduino", Bus: "i2c3"}}, []string{
			`element "a": a Raspberry Pi Zero 2 W has no i2c3; it has i2c-gpio, i2c0, i2c1`}},
		{"SPI that the model has not", "3b+", []Element{{Driver: SPI, Carrier: "gp-spi", Bus: "spi4"}}, []string{
			`element "a": a Raspberry Pi 3 Model B+ has no spi4; it has spi0, spi1`}},
		{"reset pin on a bus pin", "4b", []Element{{Driver: SPI, Carrier: "gp-spi", Reset: "GPIO10"}}, []string{
			`element "a": GPIO10 (pin 19) is reset of "a" and spi0 of "a"; spi1 is free: bus = "spi1" on GPIO19, GPIO20, GPIO21; config.txt: dtoverlay=spi1-1cs`}},
		{"other bus with its chip select in use", "4b", []Element{{Driver: SPI, Carrier: "gp-spi", Reset: "GPIO10"}, {Driver: ISO7816, Carrier: "sim-uart", Power: "GPIO18"}}, []string{
			`element "a": GPIO10 (pin 19) is reset of "a" and spi0 of "a"; spi3 is free: bus = "spi3" on GPIO1, GPIO2, GPIO3; config.txt: dtoverlay=spi3-1cs`}},
		{"reset pin on a bus pin and no other bus", "3b", []Element{{Driver: ISO7816, Carrier: "sim-uart", Reset: "GPIO14"}}, []string{
			`element "a": GPIO14 (pin 8) is reset of "a" and uart0 of "a"; GPIO26 (pin 37) is free`}},
		{"pin used twice by one", "3b", []Element{{Driver: ISO7816, Carrier: "sim-uart", Power: "GPIO17"}}, []string{
			`element "a": GPIO17 (pin 11) is reset of "a" and power of "a"; GPIO27 (pin 13) is free`}},
		{"pin used twice by two", "3b", []Element{sim, {Driver: SPI, Carrier: "gp-spi", Reset: "GPIO27"}}, []string{
			`element "a": GPIO27 (pin 13) is power of "a" and reset of "b"; GPIO26 (pin 37) is free`,
			`element "b": GPIO27 (pin 13) is power of "a" and reset of "b"; GPIO26 (pin 37) is free`}},
		{"chip select on another's pin", "4b", []Element{{Driver: SPI, Carrier: "gp-spi", ChipSelect: &one}, {Driver: I2C, Carrier: "se050-arduino", Reset: "GPIO7"}}, []string{
			`element "a": GPIO7 (pin 26) is spi0 of "a" and reset of "b"; spi1 is free: bus = "spi1" on GPIO19, GPIO20, GPIO21; config.txt: dtoverlay=spi1-1cs`,
			`element "b": GPIO7 (pin 26) is spi0 of "a" and reset of "b"; spi1 is free: bus = "spi1" on GPIO19, GPIO20, GPIO21; config.txt: dtoverlay=spi1-1cs`}},
		{"I2C over I2C", "4b", []Element{{Driver: I2C, Carrier: "se050-arduino", Bus: "i2c3", Pins: []string{"GPIO2", "GPIO3"}}, {Driver: I2C, Carrier: "optiga-nbt"}}, []string{
			`element "a": GPIO2 (pin 3) is i2c3 of "a" and i2c1 of "b"; i2c4 is free: bus = "i2c4" on GPIO8, GPIO9; config.txt: dtoverlay=i2c4,pins_8_9,baudrate=400000`,
			`element "b": GPIO2 (pin 3) is i2c3 of "a" and i2c1 of "b"; i2c4 is free: bus = "i2c4" on GPIO8, GPIO9; config.txt: dtoverlay=i2c4,pins_8_9,baudrate=400000`,
			`element "a": GPIO3 (pin 5) is i2c3 of "a" and i2c1 of "b"; i2c4 is free: bus = "i2c4" on GPIO8, GPIO9; config.txt: dtoverlay=i2c4,pins_8_9,baudrate=400000`,
			`element "b": GPIO3 (pin 5) is i2c3 of "a" and i2c1 of "b"; i2c4 is free: bus = "i2c4" on GPIO8, GPIO9; config.txt: dtoverlay=i2c4,pins_8_9,baudrate=400000`}},
		{"I2C where it cannot be led", "4b", []Element{{Driver: I2C, Carrier: "se050-arduino", Bus: "i2c3", Pins: []string{"GPIO8", "GPIO9"}}}, []string{
			`element "a": i2c3 cannot be led to GPIO8, GPIO9; it can be led to GPIO4, GPIO5 or GPIO2, GPIO3`}},
		{"I2C led to two places", "4b", []Element{{Driver: I2C, Carrier: "optiga-nbt", Bus: "i2c3"}, {Driver: I2C, Carrier: "se050-arduino", Bus: "i2c3", Pins: []string{"GPIO2", "GPIO3"}}}, []string{
			`element "a": i2c3 is led to GPIO4, GPIO5 for "a" and to GPIO2, GPIO3 for "b"; give both the same pins`,
			`element "b": i2c3 is led to GPIO4, GPIO5 for "a" and to GPIO2, GPIO3 for "b"; give both the same pins`}},
		{"one address twice", "4b", []Element{se050, {Driver: I2C, Carrier: "se050-arduino", Reset: "none"}}, []string{
			`element "a": "a" and "b" both have the address 0x48 on i2c1; give one of them another address or another bus`,
			`element "b": "a" and "b" both have the address 0x48 on i2c1; give one of them another address or another bus`}},
		{"one chip select twice", "4b", []Element{gp, gp}, []string{
			`element "a": "a" and "b" both have chip select 0 of spi0; give one of them another chip_select or another bus`,
			`element "b": "a" and "b" both have chip select 0 of spi0; give one of them another chip_select or another bus`}},
		{"one UART twice", "4b", []Element{sim, {Driver: ISO7816, Bus: "uart0", ClockPin: "GPIO6", Reset: "GPIO22"}}, []string{
			`element "a": "a" and "b" are both on uart0, which takes one card; uart5 is free: bus = "uart5" on GPIO12, GPIO13; config.txt: dtoverlay=uart5`,
			`element "b": "a" and "b" are both on uart0, which takes one card; uart5 is free: bus = "uart5" on GPIO12, GPIO13; config.txt: dtoverlay=uart5`}},
		{"one UART twice and no other", "3b", []Element{sim, {Driver: ISO7816, Bus: "uart0", ClockPin: "external", Clock: "4 MHz", Reset: "GPIO22"}}, []string{
			`element "a": "a" and "b" are both on uart0, which takes one card; no other UART is free on this board`,
			`element "b": "a" and "b" are both on uart0, which takes one card; no other UART is free on this board`}},
		{"one adapter twice", "4b", []Element{{Driver: ISO7816, Carrier: "phoenix"}, {Driver: ISO7816, Carrier: "smartmouse"}}, []string{
			`element "a": "a" and "b" are both on /dev/ttyUSB0, which takes one card; give one of them another`,
			`element "b": "a" and "b" are both on /dev/ttyUSB0, which takes one card; give one of them another`}},
		{"chip select that is not there", "4b", []Element{{Driver: SPI, Carrier: "gp-spi", ChipSelect: &two}}, []string{
			`element "a": spi0 has no chip select 2; it has 0 to 1, on GPIO8, GPIO7`}},
		{"too fast for I2C", "4b", []Element{{Driver: I2C, Carrier: "se050-arduino", Clock: "3.4 MHz"}}, []string{
			`element "a": i2c1 cannot do 3.400MHz; its most is 1MHz`}},
		{"too fast for pins in software", "4b", []Element{{Driver: I2C, Carrier: "se050-arduino", Bus: "i2c-gpio"}}, []string{
			`element "a": i2c-gpio cannot do 400kHz; its most is 100kHz`}},
		{"one address twice, by bus and by device", "4b", []Element{se050, {Driver: I2C, Carrier: "se050-arduino", Device: "/dev/i2c-1", Reset: "none"}}, []string{
			`element "a": "a" and "b" both have the address 0x48 on i2c1; give one of them another address or another bus`,
			`element "b": "a" and "b" both have the address 0x48 on i2c1; give one of them another address or another bus`}},
		{"one chip select twice, by bus and by device", "4b", []Element{{Driver: SPI, Carrier: "gp-spi", ChipSelect: &one}, {Driver: SPI, Carrier: "gp-spi", Device: "/dev/spidev0.1"}}, []string{
			`element "a": "a" and "b" both have chip select 1 of spi0; give one of them another chip_select or another bus`,
			`element "b": "a" and "b" both have chip select 1 of spi0; give one of them another chip_select or another bus`}},
		{"reset on the pins of a device", "3b", []Element{{Driver: I2C, Carrier: "se050-arduino", Device: "/dev/i2c-1", Reset: "GPIO3"}}, []string{
			`element "a": GPIO3 (pin 5) is reset of "a" and i2c1 of "a"; i2c0 is free: bus = "i2c0" on GPIO0, GPIO1; config.txt: dtparam=i2c_vc=on, dtparam=i2c_vc_baudrate=400000`}},
		{"one output twice", "4b", []Element{decoded(&one, ""), decoded(&one, "")}, []string{
			`element "a": "a" and "b" are both at output 1 of the decoder GPIO5, GPIO6 of spi0.0; give one of them another output`,
			`element "b": "a" and "b" are both at output 1 of the decoder GPIO5, GPIO6 of spi0.0; give one of them another output`}},
		{"a chip beside a decoder", "4b", []Element{decoded(&one, ""), gp}, []string{
			`element "a": "a" and "b" both have chip select 0 of spi0; give one of them another chip_select or another bus`,
			`element "b": "a" and "b" both have chip select 0 of spi0; give one of them another chip_select or another bus`}},
		{"a decoder's pin for another", "4b", []Element{decoded(&one, "GPIO16"), {Driver: I2C, Carrier: "se050-arduino", Reset: "GPIO6"}}, []string{
			`element "a": GPIO6 (pin 31) is the decoder GPIO5, GPIO6 of spi0.0 of "a" and reset of "b"; GPIO27 (pin 13) is free`,
			`element "b": GPIO6 (pin 31) is the decoder GPIO5, GPIO6 of spi0.0 of "a" and reset of "b"; GPIO27 (pin 13) is free`}},
		{"RTS on a UART of the header", "4b", []Element{{Driver: ISO7816, Carrier: "sim-uart", Reset: "RTS", Power: "none"}}, []string{
			`element "a": reset = "RTS": uart0 has no such line; give a pin, such as reset = "GPIO17"`}},
		{"clock where none comes out", "4b", []Element{{Driver: ISO7816, Carrier: "sim-uart", ClockPin: "GPIO5"}}, []string{
			`element "a": on a Raspberry Pi 4 Model B no clock that is free comes out at GPIO5 (pin 29); the pins are GPIO4 (GPCLK0), GPIO20 (GPCLK0), GPIO6 (GPCLK2)`}},
		{"clock of the radio", "zero2w", []Element{{Driver: ISO7816, Carrier: "sim-uart", ClockPin: "GPIO6"}}, []string{
			`element "a": on a Raspberry Pi Zero 2 W no clock that is free comes out at GPIO6 (pin 31); the pins are GPIO4 (GPCLK0), GPIO20 (GPCLK0)`}},
		{"clock too fast for a card", "3b", []Element{{Driver: ISO7816, Carrier: "sim-uart", Clock: "10 MHz"}}, []string{
			`element "a": a clock of 10MHz is nothing for a card at its start; give 1MHz to 5MHz (ISO/IEC 7816-3, 5.2.3)`}},
		{"oscillator too fast for a card", "3b", []Element{{Driver: ISO7816, Carrier: "phoenix", Clock: "8 MHz"}}, []string{
			`element "a": a clock of 8MHz is nothing for a card at its start; give 1MHz to 6MHz (ISO/IEC 7816-3, 5.2.3)`}},
		{"one generator on two pins", "4b", []Element{sim, {Driver: ISO7816, Bus: "uart5", ClockPin: "GPIO20", Reset: "GPIO22"}}, []string{
			`element "a": GPCLK0 would clock "a" on GPIO4 and "b" on GPIO20, and each starts and stops it; use GPIO4 (GPCLK0), GPIO20 (GPCLK0), GPIO6 (GPCLK2) of different generators, or an oscillator for one of them`,
			`element "b": GPCLK0 would clock "a" on GPIO4 and "b" on GPIO20, and each starts and stops it; use GPIO4 (GPCLK0), GPIO20 (GPCLK0), GPIO6 (GPCLK2) of different generators, or an oscillator for one of them`}},
		{"pin that is not led out", "4b", []Element{{Driver: ISO7816, Carrier: "sim-uart", Power: "GPIO40"}}, []string{
			`element "a": a Raspberry Pi 4 Model B does not lead out GPIO40 (power); its header has GPIO0 to GPIO27`}},
		{"I2C on a Pi 5", "5b", []Element{se050}, []string{
			`element "a": i2c1 of a Raspberry Pi 5 needs the kernel driver i2c-designware, which the kernel lacks; use a Raspberry Pi 3, 4 or Zero 2 W, or an adapter on USB: no line in config.txt cures this`}},
		{"SPI on a Pi 5", "5b", []Element{gp}, []string{
			`element "a": spi0 of a Raspberry Pi 5 needs the kernel driver spi-dw, which the kernel lacks; use a Raspberry Pi 3, 4 or Zero 2 W, or an adapter on USB: no line in config.txt cures this`}},
		{"clock on a Pi 5", "5b", []Element{sim}, []string{
			`element "a": a Raspberry Pi 5 has no clock for a card: how the RP1 puts a clock on a pin is not documented; use an oscillator and clock_pin = "external"`}},

		{"oscillator on a Pi 5", "5b", []Element{oscillator}, nil},
		{"all three on a Pi 4", "4b", []Element{se050, gp, sim, {Driver: ISO7816, Carrier: "phoenix"}}, nil},
		{"all three on a Pi 3", "3b+", []Element{se050, gp, sim}, nil},
		{"pin of a compute module", "cm4", []Element{{Driver: ISO7816, Carrier: "sim-uart", Power: "GPIO40"}}, nil},
		{"two chips on one I2C", "zero2w", []Element{se050, {Driver: I2C, Carrier: "optiga-nbt"}}, nil},
		{"two chips on one SPI", "4b", []Element{gp, {Driver: SPI, Carrier: "gp-spi", ChipSelect: &one}}, nil},
		{"free chip select as reset", "4b", []Element{{Driver: SPI, Carrier: "gp-spi", Reset: "GPIO7"}}, nil},
		{"two cards with a clock each", "4b", []Element{sim, {Driver: ISO7816, Bus: "uart5", ClockPin: "GPIO6", Reset: "GPIO22"}}, nil},
		{"bounds of the clock", "4b", []Element{{Driver: ISO7816, Carrier: "sim-uart", Clock: "5 MHz"}, {Driver: ISO7816, Carrier: "phoenix", Clock: "6 MHz"}, {Driver: ISO7816, Carrier: "phoenix", Device: "/dev/ttyUSB1", Clock: "1 MHz"}}, nil},
		{"a device that can be on other pins", "4b", []Element{{Driver: I2C, Carrier: "se050-arduino", Device: "/dev/i2c-3", Reset: "GPIO4"}}, nil},
		{"four chips behind a decoder", "3b", []Element{decoded(&zero, "GPIO16"), decoded(&one, "GPIO16"), decoded(&two, "GPIO16"), {Driver: SPI, Carrier: "gp-spi", ChipSelect: &one}}, nil},
		{"PLLD", "3b", []Element{{Driver: ISO7816, Carrier: "sim-uart", Clock: "4 MHz"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			compare(t, byName(t, test.board).Check(wired(t, test.elements...)...), test.want)
		})
	}
}

// TestRefusalsOfTheRunningKernel has one case for each state of a machine in
// which a wiring that could work does not.
func TestRefusalsOfTheRunningKernel(t *testing.T) {
	se050 := Element{Driver: I2C, Carrier: "se050-arduino"}
	gp := Element{Driver: SPI, Carrier: "gp-spi"}
	sim := Element{Driver: ISO7816, Carrier: "sim-uart"}
	uart5 := Element{Driver: ISO7816, Carrier: "sim-uart", Bus: "uart5"}
	for _, test := range []struct {
		name     string
		root     fstest.MapFS
		elements []Element
		want     []string
	}{
		{"I2C is off", machine(t, "4b"), []Element{se050}, []string{
			`element "a": i2c1 is off: there is no /dev/i2c-1; switch it on and restart; config.txt: dtparam=i2c_arm=on, dtparam=i2c_arm_baudrate=400000`}},
		{"I2C is on", with(machine(t, "4b"), "dev/i2c-1", ""), []Element{se050}, nil},
		{"I2C is too fast", with(machine(t, "4b"), "dev/i2c-1", "", "proc/device-tree/soc/i2c@7e804000/clock-frequency", "\x00\x0f\x42\x40"), []Element{se050}, []string{
			`element "a": i2c1 runs at 1MHz, its chip takes 400kHz; slow it down and restart; config.txt: dtparam=i2c_arm=on, dtparam=i2c_arm_baudrate=400000`}},
		{"I2C is as fast as its chip", with(machine(t, "4b"), "dev/i2c-1", "", "proc/device-tree/soc/i2c@7e804000/clock-frequency", "\x00\x06\x1a\x80"), []Element{se050}, nil},
		{"I2C is as fast as it is", with(machine(t, "4b"), "dev/i2c-1", "", "proc/device-tree/soc/i2c@7e804000/clock-frequency", "\x00\x0f\x42\x40"), []Element{{Driver: I2C, Dialect: "gp", Bus: "i2c1", Address: 0x18}}, nil},
		{"an adapter beside a UART", uart0On(machine(t, "3b")), []Element{{Driver: ISO7816, Carrier: "phoenix"}}, nil},
		{"I2C is slow", with(machine(t, "4b"), "dev/i2c-1", "", "proc/device-tree/soc/i2c@7e804000/clock-frequency", "\x00\x01\x86\xa0"), []Element{se050}, nil},
		{"SPI is off", machine(t, "3b"), []Element{gp}, []string{
			`element "a": spi0 is off: there is no /dev/spidev0.0; switch it on and restart; config.txt: dtparam=spi=on`}},
		{"chip select is off", with(machine(t, "3b"), "dev/spidev1.0", ""), []Element{{Driver: SPI, Carrier: "gp-spi", Bus: "spi1", ChipSelect: &one}}, []string{
			`element "a": spi1 is off: there is no /dev/spidev1.1; switch it on and restart; config.txt: dtoverlay=spi1-2cs`}},
		{"the kernel has the reset as chip select", with(machine(t, "3b"), "dev/spidev0.0", "", "dev/spidev0.1", ""), []Element{{Driver: SPI, Carrier: "gp-spi", Reset: "GPIO7"}}, []string{
			`element "a": GPIO7 (pin 26) is chip select 1 of spi0 and wired to something else; put the line in the place of dtparam=spi=on and restart; config.txt: dtoverlay=spi0-1cs`}},
		{"SPI is on", with(machine(t, "3b"), "dev/spidev0.0", "", "dev/spidev0.1", ""), []Element{gp}, nil},
		{"Bluetooth has the PL011", machine(t, "3b"), []Element{sim}, []string{
			`element "a": Bluetooth has the PL011 of uart0; take it away from Bluetooth and restart; config.txt: enable_uart=1, dtoverlay=disable-bt`}},
		{"Bluetooth without a status", with(without(machine(t, "3b"), "proc/device-tree/soc/serial@7e201000/bluetooth/status"), "proc/device-tree/soc/serial@7e201000/bluetooth/compatible", "brcm,bcm43438-bt\x00"), []Element{sim}, []string{
			`element "a": Bluetooth has the PL011 of uart0; take it away from Bluetooth and restart; config.txt: enable_uart=1, dtoverlay=disable-bt`}},
		{"Bluetooth is off", uart0On(machine(t, "3b")), []Element{sim}, nil},
		{"the UART is off", machine(t, "4b"), []Element{uart5}, []string{
			`element "a": uart5 is off: it has no tty; switch it on and restart; config.txt: dtoverlay=uart5`}},
		{"the UART is another's", with(machine(t, "4b"), "sys/class/tty/ttyAMA3/device/of_node/reg", "\x7e\x20\x16\x00\x00\x00\x02\x00"), []Element{uart5}, []string{
			`element "a": uart5 is off: it has no tty; switch it on and restart; config.txt: dtoverlay=uart5`}},
		{"the UART is on", with(machine(t, "4b"), "sys/class/tty/ttyAMA5/device/of_node/reg", "\x7e\x20\x1a\x00\x00\x00\x02\x00"), []Element{uart5}, nil},
		{"the UART is known by its alias", with(machine(t, "4b"), "proc/device-tree/aliases/serial5", "/soc/serial@7e201a00\x00", "dev/ttyAMA5", ""), []Element{uart5}, nil},
		{"the console is there", with(uart0On(machine(t, "3b")), "proc/cmdline", "console=ttyAMA0,115200 console=tty1 root=x\n"), []Element{sim}, []string{
			`element "a": the console is on /dev/ttyAMA0, which is uart0; take console=ttyAMA0 out of cmdline.txt and restart; for the builder of the SD card: SerialConsole "disabled"`}},
		{"mini UART", uart0On(machine(t, "3b")), []Element{{Driver: ISO7816, Carrier: "sim-uart", Bus: "uart1"}}, []string{
			`element "a": uart1 is the mini UART, which has no parity bit, and a card needs one; uart0 is free: bus = "uart0" on GPIO14, GPIO15; config.txt: enable_uart=1, dtoverlay=disable-bt`}},
		{"mini UART by its device", with(machine(t, "3b"), "sys/class/tty/ttyS0/device/of_node/reg", "\x7e\x21\x50\x40\x00\x00\x00\x40"), []Element{{Driver: ISO7816, Carrier: "phoenix", Device: "/dev/ttyS0"}}, []string{
			`element "a": uart1 is the mini UART, which has no parity bit, and a card needs one; uart0 is free: bus = "uart0" on GPIO14, GPIO15; config.txt: enable_uart=1, dtoverlay=disable-bt`}},
		{"PL011 by its device", with(uart0On(machine(t, "3b")), "proc/cmdline", "console=ttyAMA0"), []Element{{Driver: ISO7816, Device: "/dev/ttyAMA0", ClockPin: "GPIO4", Reset: "GPIO14"}}, []string{
			`element "a": GPIO14 (pin 8) is reset of "a" and uart0 of "a"; GPIO27 (pin 13) is free`,
			`element "a": the console is on /dev/ttyAMA0, which is uart0; take console=ttyAMA0 out of cmdline.txt and restart; for the builder of the SD card: SerialConsole "disabled"`}},
		{"a Pi 5 without its drivers", machine(t, "5b"), []Element{se050, gp}, []string{
			`element "a": i2c1 of a Raspberry Pi 5 needs the kernel driver i2c-designware, which the kernel lacks; use a Raspberry Pi 3, 4 or Zero 2 W, or an adapter on USB: no line in config.txt cures this`,
			`element "b": spi0 of a Raspberry Pi 5 needs the kernel driver spi-dw, which the kernel lacks; use a Raspberry Pi 3, 4 or Zero 2 W, or an adapter on USB: no line in config.txt cures this`}},
		{"a Pi 5 with them", with(machine(t, "5b"), "dev/i2c-1", "", "dev/spidev0.0", ""), []Element{se050, gp}, nil},
		{"an oscillator on a Pi 5", with(machine(t, "5b"), "sys/class/tty/ttyAMA0/device/of_node/reg", "\x00\x00\x00\xc0\x40\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"), []Element{{Driver: ISO7816, Carrier: "sim-uart-oscillator"}}, nil},
		{"a bus on any machine", fstest.MapFS{}, []Element{se050}, []string{
			`element "a": this machine is no Raspberry Pi that is known, so it has no bus "i2c1"; name the device file: device = "/dev/i2c-1"`}},
		{"a pin on any machine", fstest.MapFS{}, []Element{{Driver: I2C, Carrier: "se050-arduino", Device: "/dev/i2c-3"}}, []string{
			`element "a": this machine is no Raspberry Pi that is known, so GPIO22 (reset) cannot be used; leave pins away; a serial adapter has "RTS" and "DTR"`}},
		{"adapters on any machine", fstest.MapFS{}, []Element{
			{Driver: ISO7816, Carrier: "phoenix"}, {Driver: I2C, Carrier: "se050-arduino", Device: "/dev/i2c-3", Reset: "none"},
			{Driver: SPI, Carrier: "gp-spi", Device: "/dev/spidev3.1"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			compare(t, detect(t, test.root).Check(wired(t, test.elements...)...), test.want)
		})
	}
}

// decoded is a chip at an output of a decoder with two address pins.
func decoded(output *int, enable string) Element {
	return Element{Driver: SPI, Carrier: "gp-spi", Decoder: []string{"GPIO5", "GPIO6"}, Output: output, Enable: enable}
}

func compare(t *testing.T, got []*Refusal, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Errorf("also %s", got[i])
		case i >= len(got):
			t.Errorf("not  %s", want[i])
		case got[i].Error() != want[i]:
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}
