package iso7816_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers/iso7816"
	"periph.io/x/conn/v3/physic"
)

// testSoC has its peripherals at the beginning of a file.
var testSoC = iso7816.SoC{Name: "file", Oscillator: 54 * physic.MegaHertz, PLLD: 750 * physic.MegaHertz}

// memory is a file in the place of /dev/mem.
func memory(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "mem"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(0x201000); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestMapRegisters: what is mapped serves one clock after the other, long after
// the file was closed, and is two pages and no more.
func TestMapRegisters(t *testing.T) {
	f := memory(t)
	regs, err := iso7816.MapRegisters(f, testSoC)
	if err != nil {
		t.Fatal(err)
	}
	again, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(maps), f.Name()+"\n"); n != 2 {
		t.Errorf("%d parts of it are mapped, want 2\n%s", n, maps)
	}
	shared := iso7816.Shared(regs)
	for _, pin := range []int{4, 6, 4} {
		c, err := iso7816.NewGPCLK(testSoC, shared, pin, 4500*physic.KiloHertz)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err == nil {
			t.Error("a generator that is a file starts")
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		var b [4]byte
		if _, err := again.ReadAt(b[:], 0x200028); err != nil || binary.LittleEndian.Uint32(b[:]) != 1<<pin {
			t.Errorf("the line of GPIO%d is not put down: %X, %v", pin, b, err)
		}
		if _, err := again.ReadAt(b[:], 0x200000); err != nil || binary.LittleEndian.Uint32(b[:])>>(3*pin)&7 != 1 {
			t.Errorf("GPIO%d is no output: %X, %v", pin, b, err)
		}
	}
	if err := regs.Close(); err != nil {
		t.Error(err)
	}
	if _, err := iso7816.MapRegisters(again, iso7816.SoC{}); !errors.Is(err, iso7816.ErrUnsupported) {
		t.Errorf("a chip that is not known: %v", err)
	}
	if _, err := iso7816.MapRegisters(again, testSoC); err == nil {
		t.Error("a file that cannot be written is mapped")
	}
}
