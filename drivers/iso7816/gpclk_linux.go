package iso7816

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/physic"
)

// OpenGPCLK is [NewGPCLK] on the registers of this machine, which must be the
// chip named. It needs root and a kernel that lets /dev/mem be used for
// registers (CONFIG_STRICT_DEVMEM off, as in gokrazy's).
func OpenGPCLK(soc SoC, pin int, want physic.Frequency) (*GPCLK, error) {
	regs, err := openDevMem(soc)
	if err != nil {
		return nil, err
	}
	c, err := NewGPCLK(soc, regs, pin, want)
	if err != nil {
		return nil, errors.Join(err, regs.Close())
	}
	return c, nil
}

const page = 4096

// devMem is the two pages of registers that a clock needs.
type devMem map[int64][]byte

func openDevMem(soc SoC) (devMem, error) {
	fd, err := unix.Open("/dev/mem", unix.O_RDWR|unix.O_SYNC|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("GPCLK: /dev/mem: %w (root is needed; an oscillator needs nothing)", err)
	}
	m := devMem{}
	for _, at := range []int64{cmBase, gpioBase} {
		b, mapErr := unix.Mmap(fd, soc.Base+at, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if mapErr != nil {
			err = fmt.Errorf("GPCLK: map %X of /dev/mem: %w (the kernel must have CONFIG_STRICT_DEVMEM off)", soc.Base+at, mapErr)
			break
		}
		m[at] = b
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// register is one of them; single 32-bit accesses are what the bus takes.
func (m devMem) register(offset int64) *uint32 {
	return (*uint32)(unsafe.Pointer(&m[offset&^(page-1)][offset%page]))
}

// Read implements [Registers].
func (m devMem) Read(offset int64) uint32 { return atomic.LoadUint32(m.register(offset)) }

// Write implements [Registers].
func (m devMem) Write(offset int64, value uint32) { atomic.StoreUint32(m.register(offset), value) }

// Close implements [Registers].
func (m devMem) Close() error {
	var errs []error
	for at, b := range m {
		errs = append(errs, unix.Munmap(b))
		delete(m, at)
	}
	return errors.Join(errs...)
}
