package iso7816

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/physic"
)

// OpenGPCLK is [NewGPCLK] on the registers of this machine, which must be the
// chip named. It needs root and a kernel that lets /dev/mem be used for
// registers (CONFIG_STRICT_DEVMEM off, as in gokrazy's).
func OpenGPCLK(soc SoC, pin int, want physic.Frequency) (*GPCLK, error) {
	// The kernel maps registers uncached for a file that was opened so.
	f, err := os.OpenFile(Memory, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		return nil, fmt.Errorf("GPCLK: %w (root is needed; an oscillator needs nothing)", err)
	}
	regs, err := MapRegisters(f, soc)
	if err = errors.Join(err, f.Close()); err != nil {
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

// MapRegisters maps what a clock needs of [Memory], and nothing else: the page
// of the clock manager and that of the pins. The file is not used any more
// afterwards.
func MapRegisters(f *os.File, soc SoC) (Registers, error) {
	if soc == (SoC{}) {
		return nil, fmt.Errorf("GPCLK: %w: the registers of this machine are not known", ErrUnsupported)
	}
	m := devMem{}
	for _, at := range []int64{cmBase, gpioBase} {
		b, err := unix.Mmap(int(f.Fd()), soc.Base+at, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			err = fmt.Errorf("GPCLK: map %X of %s: %w (the kernel must have CONFIG_STRICT_DEVMEM off)", soc.Base+at, f.Name(), err)
			return nil, errors.Join(err, m.Close())
		}
		m[at] = b
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
