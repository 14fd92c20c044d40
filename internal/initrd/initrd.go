// Package initrd makes the first root file system of a virtual machine, for
// tests that boot one.
package initrd

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// File is a file of the archive.
type File struct {
	// Data is what is in it; of a symbolic link, where it leads.
	Data []byte

	// Mode is its permissions, with [fs.ModeSymlink] for a symbolic link. Zero
	// is 0600.
	Mode fs.FileMode
}

// Types of a file in an archive, as in st_mode.
const (
	typeFolder  = 0o040000
	typeChar    = 0o020000
	typeRegular = 0o100000
	typeSymlink = 0o120000
)

// Archive is an archive in the form that the kernel takes for its first root
// file system ("newc", Documentation/driver-api/early-userspace/buffer-format.rst):
// the program as /init, and files by their paths without the first slash. All
// folders are root's alone.
func Archive(program []byte, files map[string]File) []byte {
	a := archive{made: make(map[string]bool)}
	a.folder("dev")
	a.entry("dev/null", typeChar|0o666, 1, 3, nil) // what a Go program without a console begins with
	a.entry("init", typeRegular|0o700, 0, 0, program)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		a.folder(path.Dir(name))
		a.entry(name, mode(f.Mode), 0, 0, f.Data)
	}
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.b.Bytes()
}

func mode(m fs.FileMode) int {
	switch {
	case m == 0:
		return typeRegular | 0o600
	case m&fs.ModeSymlink != 0:
		return typeSymlink | 0o777
	default:
		return typeRegular | int(m.Perm())
	}
}

type archive struct {
	b    bytes.Buffer
	made map[string]bool // folders
}

// folder makes a folder after those that it is in.
func (a *archive) folder(name string) {
	if name == "." || a.made[name] {
		return
	}
	a.folder(path.Dir(name))
	a.made[name] = true
	a.entry(name, typeFolder|0o700, 0, 0, nil)
}

func (a *archive) entry(name string, mode, major, minor int, content []byte) {
	fmt.Fprintf(&a.b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		1, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0)
	a.b.WriteString(name + "\x00")
	a.pad()
	a.b.Write(content)
	a.pad()
}

func (a *archive) pad() {
	for a.b.Len()%4 != 0 {
		a.b.WriteByte(0)
	}
}

// Dir is what a folder has below it, by paths from there, as far as keep says:
// files with their modes, and symbolic links.
func Dir(root string, keep func(name string) bool) (map[string]File, error) {
	files := make(map[string]File)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || !keep(filepath.ToSlash(name)) {
			return err
		}
		switch d.Type() {
		case 0:
			info, err := d.Info()
			if err != nil {
				return err
			}
			data, err := os.ReadFile(path)
			files[filepath.ToSlash(name)] = File{Data: data, Mode: info.Mode()}
			return err
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			files[filepath.ToSlash(name)] = File{Data: []byte(target), Mode: fs.ModeSymlink}
			return err
		}
		return nil
	})
	return files, err
}
