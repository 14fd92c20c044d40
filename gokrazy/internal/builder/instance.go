package builder

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

const (
	module    = "github.com/cloud-of-se/tses"
	daemonPkg = module + "/appliance"
	initPkg   = module + "/gokrazy/init"

	kernelPkg   = "github.com/gokrazy/kernel.rpi"
	firmwarePkg = "github.com/gokrazy/firmware"

	pinsDir = "gokrazy/instance/builddir" // go.mod and go.sum of kernel and firmware
)

// instanceConfig is the packer's config.json, as far as it is used.
type instanceConfig struct {
	Hostname             string
	Packages             []string
	Update               struct{ NoPassword bool }
	Environment          []string
	PackageConfig        map[string]packageConfig
	SerialConsole        string `json:",omitempty"`
	GokrazyPackages      []string
	KernelPackage        string
	FirmwarePackage      string
	EEPROMPackage        string
	KernelExtraArgs      []string
	BootloaderExtraLines []string `json:",omitempty"`

	InternalCompatibilityFlags struct{ InitPkg string }
}

type packageConfig struct {
	GoBuildFlags      []string
	GoBuildTags       []string          `json:",omitempty"`
	ExtraFileContents map[string]string `json:",omitempty"`
	ExtraFilePaths    map[string]string `json:",omitempty"` // of the card: relative to the instance
}

// kernelArgs make the start shorter. A serial console takes its time for every
// line; and the tracer of block devices, which nothing here uses, waits for all
// the others, a tenth of the start.
var kernelArgs = []string{"quiet", "initcall_blacklist=init_blk_tracer"}

// instanceConfig says that there are init and the TSES and no more: no packages
// of gokrazy, and, since there is no password, no HTTP server.
func (b *build) instanceConfig() (*instanceConfig, error) {
	files, err := b.cardFiles()
	if err != nil {
		return nil, err
	}
	smaller := []string{"-ldflags=-s -w"} // what fails is found with the same build and its symbols
	c := &instanceConfig{
		Hostname: b.box.Name,
		Packages: []string{daemonPkg},
		// The target's variables would also be taken from this machine's.
		Environment: []string{
			"GOOS=linux", "GOARCH=arm64", "GOARM64=v8.0", "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false",
		},
		PackageConfig: map[string]packageConfig{
			daemonPkg: {GoBuildFlags: smaller, GoBuildTags: b.Tags, ExtraFileContents: files},
			initPkg:   {GoBuildFlags: smaller, GoBuildTags: b.Tags},
		},
		GokrazyPackages:      []string{},
		KernelPackage:        kernelPkg,
		FirmwarePackage:      firmwarePkg,
		KernelExtraArgs:      kernelArgs,
		BootloaderExtraLines: b.config.firmware.Lines,
	}
	if len(b.config.wifiFirmware) > 0 {
		first := c.PackageConfig[initPkg]
		first.ExtraFilePaths = map[string]string{cardFirmware: wifiFirmwareDir}
		c.PackageConfig[initPkg] = first
	}
	c.Update.NoPassword = true
	c.InternalCompatibilityFlags.InitPkg = initPkg
	if b.config.firmware.NoConsole {
		c.SerialConsole = "disabled"
	}
	return c, nil
}

// cardFiles are the files of the card that are not the same on all.
func (b *build) cardFiles() (map[string]string, error) {
	files, err := b.ownFiles()
	if err != nil {
		return nil, err
	}
	stamp, err := json.Marshal(sdcard.Build{Time: b.Time.UTC(), Version: b.version})
	if err != nil {
		return nil, err
	}
	files[sdcard.BuildFile] = string(stamp) + "\n"
	return files, nil
}

// ownFiles are they without the one that tells how the card is called and when it
// was made, which the others decide.
func (b *build) ownFiles() (map[string]string, error) {
	revoked, err := b.result.Owner.revoked()
	if err != nil {
		return nil, err
	}
	files := map[string]string{sdcard.BuildFile: ""} // is taken
	for name, text := range b.config.files {
		if _, taken := files[sdcard.EtcDir+"/"+name]; taken {
			return nil, fmt.Errorf("access: %s is the name of a file of the card's own, choose another", name)
		}
		files[sdcard.EtcDir+"/"+name] = text
	}
	for name, text := range b.box.Files(b.result.Owner.authority, revoked) {
		if _, taken := files[sdcard.EtcDir+"/"+name]; taken {
			return nil, fmt.Errorf("access: %s is the name of a file of the card's own, choose another", name)
		}
		// The packer takes an empty file for a directory.
		if text != "" {
			files[sdcard.EtcDir+"/"+name] = text
		}
	}
	delete(files, sdcard.BuildFile)
	return files, nil
}

// writeInstance writes what the packer reads:
//
//	tses/config.json
//	tses/builddir/go.mod, go.sum   pins of kernel and firmware, and the project's own
//	tses/wifi-firmware             what the Wi-Fi chip is given, where there is Wi-Fi
//	src                            the project, as a link
//
// The compiler records paths relative to builddir in the programs. They are the
// same wherever the repository is.
func (b *build) writeInstance() error {
	config, err := b.instanceConfig()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	goMod, goSum, err := b.pins()
	if err != nil {
		return err
	}
	dir := filepath.Join(b.work, instance)
	if err := os.MkdirAll(filepath.Join(dir, "builddir"), 0o700); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"config.json": string(text), "builddir/go.mod": goMod, "builddir/go.sum": goSum,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	if err := b.writeWifiFirmware(dir); err != nil {
		return err
	}
	return os.Symlink(b.Repository, filepath.Join(b.work, "src"))
}

// pins are go.mod and go.sum for the packer: those of kernel and firmware, and
// what the project itself has in its go.sum.
func (b *build) pins() (goMod, goSum string, err error) {
	var texts [3]string
	for i, name := range []string{pinsDir + "/go.mod", pinsDir + "/go.sum", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(b.Repository, name))
		if err != nil {
			return "", "", err
		}
		texts[i] = string(text)
	}
	const inRepository, here = "=> ../../..\n", "=> ../../src\n"
	if !strings.Contains(texts[0], inRepository) {
		return "", "", fmt.Errorf("%s/go.mod does not replace the project by %q", pinsDir, inRepository)
	}
	return strings.Replace(texts[0], inRepository, here, 1), texts[1] + texts[2], nil
}
