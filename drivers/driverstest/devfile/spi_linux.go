package devfile

import (
	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// Numbers and structures of include/uapi/linux/spi/spidev.h.
const (
	spiMagic     = 'k'
	spiMessage   = 0
	spiMode      = 1
	spiMode32    = 5
	transferSize = 32
	maxTransfer  = 4096 // spidev's bufsiz
)

// SPI puts a port behind path, such as /dev/spidev0.0, and connects to it. The
// clock of each transfer becomes the port's.
func SPI(path string, port spi.PortCloser) (*File, error) {
	c, err := port.Connect(100*physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		return nil, err
	}
	return serve(path, func(call ioctl) (int32, []byte, error) {
		if call.number>>8&0xFF != spiMagic {
			return 0, nil, unix.ENOTTY
		}
		switch call.number & 0xFF {
		case spiMessage:
			n, err := call.transfers(port, c)
			return n, nil, err
		case spiMode, spiMode32:
			if len(call.data) > 0 && call.data[0] != 0 {
				return 0, nil, unix.EINVAL // a chip needs mode 0
			}
			return 0, nil, nil
		}
		return 0, nil, unix.ENOTTY
	})
}

// transfers runs the transfers of SPI_IOC_MESSAGE.
func (i ioctl) transfers(port spi.PortCloser, c spi.Conn) (int32, error) {
	total := 0
	for raw := i.data; len(raw) >= transferSize; raw = raw[transferSize:] {
		tx, rx := order.Uint64(raw), order.Uint64(raw[8:])
		n, hz := int(order.Uint32(raw[16:])), order.Uint32(raw[20:])
		if total += n; total > maxTransfer {
			return 0, unix.EMSGSIZE
		}
		w, r := make([]byte, n), make([]byte, n)
		if tx != 0 {
			var err error
			if w, err = i.peek(tx, n); err != nil {
				return 0, err
			}
		}
		if err := port.LimitSpeed(physic.Frequency(hz) * physic.Hertz); err != nil {
			return 0, unix.EINVAL
		}
		if err := c.Tx(w, r); err != nil {
			return 0, unix.EIO
		}
		if rx != 0 {
			if err := i.poke(rx, r); err != nil {
				return 0, err
			}
		}
	}
	return int32(total), nil
}
