package boottest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cloud-of-se/tses/gokrazy/internal/image"
)

const (
	kernelFile = "vmlinuz"
	treeFile   = "bcm2710-rpi-3-b.dtb"
)

// firmware is what a machine's firmware does with a disk: it takes from the boot
// partition, as it is now, the kernel, the command line but for the console,
// since QEMU's is another, and the device tree of a Raspberry Pi 3 as
// config.txt wants it.
func firmware(disk, dir string, o Options) (cmdline []string, err error) {
	im, err := image.Open(disk, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, im.Close()) }()
	for _, name := range []string{kernelFile, treeFile} {
		content, err := im.BootFile(name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	if o.Board == Pi3 {
		if err := overlay(im, filepath.Join(dir, treeFile)); err != nil {
			return nil, err
		}
	}
	text, err := im.BootFile("cmdline.txt")
	if err != nil {
		return nil, err
	}
	for _, word := range strings.Fields(string(text)) {
		if !strings.HasPrefix(word, "console=") {
			cmdline = append(cmdline, word)
		}
	}
	return cmdline, nil
}

// overlay lays over a device tree what config.txt names. Parameters are not
// known here, and refused. The mini UART stays on for the test's console.
func overlay(im *image.Image, tree string) error {
	text, err := im.BootFile("config.txt")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case key == "dtparam", key == "dtoverlay" && strings.Contains(value, ","):
			return fmt.Errorf("config.txt: %s=%s: not known to this emulated firmware", key, value)
		case key != "dtoverlay":
			continue
		}
		content, err := im.BootFile("overlays/" + value + ".dtbo")
		if err != nil {
			return fmt.Errorf("config.txt: dtoverlay=%s: %w", value, err)
		}
		file := filepath.Join(filepath.Dir(tree), value+".dtbo")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return err
		}
		for _, args := range [][]string{
			{"fdtoverlay", "-i", tree, "-o", tree, file},
			{"fdtput", "-t", "s", tree, "/soc/serial@7e215040", "status", "okay"},
		} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", args[0], err, out)
			}
		}
	}
	return nil
}
