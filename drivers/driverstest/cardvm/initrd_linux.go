package cardvm

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
)

// initrd is an archive in the form that the kernel takes for its first root
// file system ("newc", Documentation/driver-api/early-userspace/buffer-format.rst):
// the program as /init, and files by their paths without the first slash. All
// are root's alone.
func initrd(program []byte, files map[string][]byte) []byte {
	a := archive{made: make(map[string]bool)}
	a.folder("dev")
	a.entry("dev/null", 0o020666, 1, 3, nil) // what a Go program without a console begins with
	a.entry("init", 0o100700, 0, 0, program)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		a.folder(path.Dir(name))
		a.entry(name, 0o100600, 0, 0, files[name])
	}
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.b.Bytes()
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
	a.entry(name, 0o040700, 0, 0, nil)
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
