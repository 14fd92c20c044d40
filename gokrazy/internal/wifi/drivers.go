//go:build linux

package wifi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ModulesDir is where kernels have their modules.
const ModulesDir = "/lib/modules"

// module is one of the Raspberry Pi's Wi-Fi drivers.
type module struct {
	path       string // below driverDir
	parameters string
	optional   bool // older kernels have none
}

const driverDir = "kernel/drivers/net/wireless/broadcom/brcm80211"

// drivers are loaded in this order. brcmfmac asks the kernel for one of the
// three behind it when it has found its chip and loaded its firmware; the
// kernel asks modprobe, which is not there. So they come at once.
//
// The box stands still: roaming in firmware would only leave the keys behind.
var drivers = []module{
	{path: "brcmutil/brcmutil.ko"},
	{path: "brcmfmac/brcmfmac.ko", parameters: "roamoff=1"},
	{path: "brcmfmac/wcc/brcmfmac-wcc.ko", optional: true},
	{path: "brcmfmac/cyw/brcmfmac-cyw.ko", optional: true},
	{path: "brcmfmac/bca/brcmfmac-bca.ko", optional: true},
}

// LoadDrivers loads the drivers of a Raspberry Pi's Wi-Fi chip from below dir,
// which is [ModulesDir] but for tests. Those that are loaded already stay. The
// interface comes some time after: the chip's firmware has to be loaded first.
func LoadDrivers(dir string) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("%w: %w", ErrNoDrivers, err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	dir = filepath.Join(dir, release, driverDir)
	for _, m := range drivers {
		err := m.load(dir)
		if errors.Is(err, fs.ErrNotExist) && m.optional {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w of a Raspberry Pi for the kernel %s, or they are built into it: %w", ErrNoDrivers, release, err)
		}
		if err != nil {
			return fmt.Errorf("%w: load %s: %w", ErrNoDrivers, m.path, err)
		}
	}
	return nil
}

func (m module) load(dir string) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(m.path)))
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), m.parameters, 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
