package debian

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/internal/needs"
)

// metaPackage depends on the package of the newest kernel.
const metaPackage = "linux-image-arm64"

// Linux is Debian's kernel for arm64.
type Linux struct {
	Image   string // the file that is booted
	Release string // as uname -r says

	dir string // its modules
}

// Kernel fetches Debian's kernel, which has drivers that the SD card's has not.
// It skips and fails as [Arm64] does.
func Kernel(t testing.TB) Linux {
	t.Helper()
	dir, err := cache([]string{metaPackage})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		apt := newApt(t)
		packages, err := apt.depends(metaPackage)
		if err == nil {
			err = unpack(apt, dir, packages)
		}
		if err != nil {
			needs.Missing(t, err.Error())
		}
	}
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		t.Fatalf("kernels in %s: %q, %v; want one: remove the folder, and it is fetched again", dir, images, err)
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	l := Linux{Image: images[0], Release: release, dir: filepath.Join(dir, "lib", "modules", release)}
	if _, err := os.Stat(l.dir); err != nil {
		l.dir = filepath.Join(dir, "usr", "lib", "modules", release)
	}
	return l
}

// Modules are the files of modules, each behind those that it depends on: in
// this order they can be loaded. What is built into the kernel is left out.
func (l Linux) Modules(t testing.TB, names ...string) []string {
	t.Helper()
	files, err := l.files()
	if err != nil {
		t.Fatal(err)
	}
	builtin, err := l.builtin()
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	done := make(map[string]bool)
	var visit func(name string)
	visit = func(name string) {
		name = moduleName(name)
		if done[name] || builtin[name] {
			return
		}
		done[name] = true
		file, ok := files[name]
		if !ok {
			t.Fatalf("kernel %s has no module %s", l.Release, name)
		}
		needed, err := dependencies(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range needed {
			visit(n)
		}
		order = append(order, file)
	}
	for _, name := range names {
		visit(name)
	}
	return order
}

// files are all modules by their names.
func (l Linux) files() (map[string]string, error) {
	files := make(map[string]string)
	err := filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Ext(path) == ".ko" {
			files[moduleName(path)] = path
		}
		return err
	})
	return files, err
}

func (l Linux) builtin() (map[string]bool, error) {
	text, err := os.ReadFile(filepath.Join(l.dir, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		names[moduleName(strings.TrimSpace(line))] = true
	}
	return names, nil
}

// moduleName is the name that the kernel has for a module of a file or in a
// list.
func moduleName(path string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".ko"), "-", "_")
}

// dependencies are the modules that a module says it needs: modules.dep, which
// has them too, is made when a kernel is installed.
func dependencies(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", file, err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("module %s says nothing of itself", file)
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", file, err)
	}
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(entry, []byte("depends=")); ok && len(list) > 0 {
			return strings.Split(string(list), ","), nil
		}
	}
	return nil, nil
}
