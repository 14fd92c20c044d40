package boards

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"periph.io/x/conn/v3/physic"
)

// live checks what the kernel that runs has of the buses. A device that is
// named by its file may come later: an adapter on USB.
func (c *checker) live() {
	for i := range c.plans {
		p := &c.plans[i]
		switch {
		case p.bus == nil || p.bus.noParity:
		case p.bus.kind == uartBus:
			c.liveUART(p)
		case !c.exists(p.deviceFile()):
			if p.bus.kernel != "" {
				c.lacks(p)
				continue
			}
			c.refuse(p, fmt.Sprintf("%s is off: there is no %s", p.bus.name, p.deviceFile()), "switch it on and restart", c.board.firmwareLines(c.plans, p.bus)...)
		case p.bus.kind == i2cBus:
			c.liveClock(p)
		case p.bus.name == "spi0":
			c.liveSelect(p)
		}
	}
}

func (c *checker) exists(file string) bool {
	_, err := fs.Stat(c.board.root, strings.TrimPrefix(file, "/"))
	return err == nil
}

// deviceFile is the device file of an I2C or SPI.
func (p *plan) deviceFile() string {
	switch {
	case p.bus == nil:
		return p.Device
	case p.bus.kind == spiBus:
		return fmt.Sprintf("%s%d", p.bus.device, p.ChipSelect)
	}
	return p.bus.device
}

// liveClock checks that an I2C does not run faster than its chips can. Its
// clock is set at the start and by nothing else.
func (c *checker) liveClock(p *plan) {
	if p.Clock == 0 || p.bus.node == "" {
		return
	}
	b, err := fs.ReadFile(c.board.root, deviceTree+"soc/"+p.bus.node+"/clock-frequency")
	if err != nil || len(b) != 4 {
		return // not told: the kernel's own, which is 100 kHz
	}
	if is := physic.Frequency(binary.BigEndian.Uint32(b)) * physic.Hertz; is > p.Clock {
		c.refuse(p, fmt.Sprintf("%s runs at %s, its chip takes %s", p.bus.name, is, p.Clock), "slow it down and restart", c.board.firmwareLines(c.plans, p.bus)...)
	}
}

// liveSelect checks that the kernel leaves the second chip select of SPI0 to
// who uses its pin.
func (c *checker) liveSelect(p *plan) {
	if selects(c.plans, p.bus) == 1 && taken(c.plans)[p.bus.cs[1]] && c.exists(p.bus.device+"1") {
		c.refuse(p, fmt.Sprintf("%s is chip select 1 of spi0 and wired to something else", p.bus.cs[1]), "put the line in the place of dtparam=spi=on and restart", c.board.firmwareLines(c.plans, p.bus)...)
	}
}

// liveUART checks that a UART is on, and that neither Bluetooth nor the console
// has it.
func (c *checker) liveUART(p *plan) {
	lines := c.board.firmwareLines(c.plans, p.bus)
	if c.board.bluetooth(p.bus) {
		c.refuse(p, "Bluetooth has the PL011 of "+p.bus.name, "take it away from Bluetooth and restart", lines...)
		return
	}
	tty, ok := c.board.tty(p.bus)
	if !ok {
		c.refuse(p, p.bus.name+" is off: it has no tty", "switch it on and restart", lines...)
		return
	}
	if c.board.console(tty) {
		c.refuse(p, fmt.Sprintf("the console is on %s, which is %s", tty, p.bus.name),
			fmt.Sprintf("take console=%s out of cmdline.txt and restart; for the builder of the SD card: SerialConsole \"disabled\"", path.Base(tty)))
	}
}

// bluetooth tells whether a Bluetooth controller is a child of the UART in the
// device tree.
func (b *Board) bluetooth(u *bus) bool {
	if u.node == "" {
		return false
	}
	child := deviceTree + "soc/" + u.node + "/bluetooth"
	if _, err := fs.Stat(b.root, child); err != nil {
		return false
	}
	status, err := fs.ReadFile(b.root, child+"/status")
	return err != nil || text(status) != "disabled" // no status is "okay"
}

// tty finds the device file of a UART: by its registers, for the kernel's
// numbers follow the order of the probes or the aliases of the device tree.
func (b *Board) tty(u *bus) (string, bool) {
	entries, err := fs.ReadDir(b.root, "sys/class/tty")
	if err != nil {
		return "", false
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "tty") {
			continue
		}
		reg, err := fs.ReadFile(b.root, "sys/class/tty/"+e.Name()+"/device/of_node/reg")
		if err == nil && strings.HasPrefix(string(reg), u.reg) {
			return "/dev/" + e.Name(), true
		}
	}
	return b.ttyByAlias(u)
}

// ttyByAlias finds it where the tty does not tell of its node.
func (b *Board) ttyByAlias(u *bus) (string, bool) {
	if u.node == "" {
		return "", false
	}
	for n := range 10 {
		node, err := fs.ReadFile(b.root, fmt.Sprintf("%saliases/serial%d", deviceTree, n))
		name := fmt.Sprintf("ttyAMA%d", n)
		if err != nil || text(node) != "/soc/"+u.node {
			continue
		}
		if _, err := fs.Stat(b.root, "dev/"+name); err == nil {
			return "/dev/" + name, true
		}
	}
	return "", false
}

// console tells whether the kernel was told to have its console on a tty.
func (b *Board) console(tty string) bool {
	cmdline, err := fs.ReadFile(b.root, "proc/cmdline")
	if err != nil {
		return false // without one nothing was told
	}
	for word := range strings.FieldsSeq(string(cmdline)) {
		value, ok := strings.CutPrefix(word, "console=")
		device, _, _ := strings.Cut(value, ",")
		if ok && device == path.Base(tty) {
			return true
		}
	}
	return false
}

// text is a property of the device tree that is one string.
func text(property []byte) string { return strings.TrimRight(string(property), "\x00\n") }
