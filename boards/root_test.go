package boards

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// machine is the files of a Raspberry Pi with nothing switched on.
func machine(t *testing.T, name string) fstest.MapFS {
	t.Helper()
	b, err := ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	m := fstest.MapFS{
		"proc/device-tree/model":      {Data: []byte(b.model.Title + " Rev 1.4\x00")},
		"proc/device-tree/compatible": {Data: []byte(b.model.Compatible + "\x00brcm," + strings.ToLower(b.model.chip.name) + "\x00")},
		"proc/cmdline":                {Data: []byte("console=tty1 root=/dev/mmcblk0p2 rootwait\n")},
		"sys/class/tty/tty1/dev":      {Data: []byte("4:1\n")},
	}
	if b.model.wireless {
		m["proc/device-tree/soc/serial@7e201000/bluetooth/status"] = file("okay\x00")
	}
	return m
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

// with adds files, given as path and text in turns.
func with(m fstest.MapFS, files ...string) fstest.MapFS {
	for i := 0; i < len(files); i += 2 {
		m[files[i]] = file(files[i+1])
	}
	return m
}

// uart0On adds what dtoverlay=disable-bt brings about.
func uart0On(m fstest.MapFS) fstest.MapFS {
	return with(m, "proc/device-tree/soc/serial@7e201000/bluetooth/status", "disabled\x00",
		"sys/class/tty/ttyAMA0/device/of_node/reg", "\x7e\x20\x10\x00\x00\x00\x02\x00")
}

func detect(t *testing.T, root fs.FS) *Board {
	t.Helper()
	b, err := Detect(root)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func byName(t *testing.T, name string) *Board {
	t.Helper()
	b, err := ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wired reads tables, by names of one letter in their order.
func wired(t *testing.T, elements ...Element) []Wiring {
	t.Helper()
	var ws []Wiring
	for i, e := range elements {
		w, err := e.Wiring(string(rune('a' + i)))
		if err != nil {
			t.Fatal(err)
		}
		ws = append(ws, w)
	}
	return ws
}

var zero, one, two, seven = 0, 1, 2, 7

func without(m fstest.MapFS, path string) fstest.MapFS {
	delete(m, path)
	return m
}
