package devfile

import (
	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/i2c"
)

// Numbers and structures of include/uapi/linux/i2c-dev.h and i2c.h, on a
// machine of 64 bits.
const (
	i2cFuncs     = 0x0705
	i2cRDWR      = 0x0707
	funcI2C      = 1
	messageRead  = 1
	messageSize  = 16
	maxMessages  = 42
	rdwrDataSize = 12
)

// I2C puts a bus behind path, such as /dev/i2c-1. A failed access is EREMOTEIO,
// as from the driver of a Raspberry Pi.
func I2C(path string, bus i2c.Bus) (*File, error) {
	return serve(path, func(call ioctl) (int32, []byte, error) {
		switch call.number {
		case i2cFuncs:
			var out [8]byte
			order.PutUint64(out[:], funcI2C)
			return 0, nil, call.poke(call.arg, out[:])
		case i2cRDWR:
			n, err := call.transfer(bus)
			return n, nil, err
		}
		return 0, nil, unix.ENOTTY
	})
}

// transfer runs the messages of I2C_RDWR: a write, a read, or both joined by a
// repeated start condition.
func (i ioctl) transfer(bus i2c.Bus) (int32, error) {
	data, err := i.peek(i.arg, rdwrDataSize)
	if err != nil {
		return 0, err
	}
	count := order.Uint32(data[8:])
	if count == 0 || count > maxMessages {
		return 0, unix.EINVAL
	}
	raw, err := i.peek(order.Uint64(data), int(count)*messageSize)
	if err != nil {
		return 0, err
	}
	var w, r []byte
	var readTo uint64
	for ; len(raw) > 0; raw = raw[messageSize:] {
		n, at := int(order.Uint16(raw[4:])), order.Uint64(raw[8:])
		if order.Uint16(raw[2:])&messageRead != 0 {
			r, readTo = make([]byte, n), at
			continue
		}
		b, err := i.peek(at, n)
		if err != nil {
			return 0, err
		}
		w = append(w, b...)
		defer clear(b)
	}
	first, err := i.peek(order.Uint64(data), messageSize)
	if err != nil {
		return 0, err
	}
	if err := bus.Tx(order.Uint16(first), w, r); err != nil {
		return 0, unix.EREMOTEIO
	}
	return int32(count), i.poke(readTo, r)
}
