//go:build !linux

package iso7816

import (
	"fmt"
	"os"
	"runtime"
)

// MapRegisters maps registers on Linux alone.
func MapRegisters(*os.File, SoC) (Registers, error) {
	return nil, fmt.Errorf("GPCLK: %w on %s: use an oscillator", ErrUnsupported, runtime.GOOS)
}
