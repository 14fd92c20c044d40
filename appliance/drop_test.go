//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cloud-of-se/tses/boards"
	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// The memory of the machine is opened for a card whose clock comes out of a pin,
// and for nothing else. No configuration keeps a right to open it later.
func TestMemoryIsForClocks(t *testing.T) {
	const pin, oscillator = "driver = \"iso7816\"\ncarrier = \"sim-uart\"", "driver = \"iso7816\"\ncarrier = \"sim-uart-oscillator\""
	for name, tt := range map[string]struct {
		elements []string
		want     []string
	}{
		"none":            {nil, nil},
		"a clock on pins": {[]string{pin}, []string{iso7816.Memory}},
		"an oscillator":   {[]string{oscillator}, nil},
		"an adapter":      {[]string{"driver = \"iso7816\"\ncarrier = \"phoenix\""}, nil},
		"both":            {[]string{oscillator, "driver = \"softse\"", pin}, []string{iso7816.Memory}},
		"another driver":  {[]string{"driver = \"i2c\"\ncarrier = \"se050-arduino\""}, nil},
	} {
		text := "listen = \"0.0.0.0:7777\"\n"
		for i, e := range tt.elements {
			text += "[[element]]\nseid = \"" + string(rune('a'+i)) + "\"\n" + e + "\n"
		}
		c, err := loadConfig(wireConfig(t, text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := rulesOfCage(c, flags{confine: "7777"})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !slices.Equal(r.Open, tt.want) || len(r.Keep) != 0 {
			t.Errorf("%s: opens %q and keeps capabilities %v, want %q and none", name, r.Open, r.Keep, tt.want)
		}
	}
}

// What the clocks need stays mapped, two pages, when the file is closed.
func TestClockedMachine(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "mem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(iso7816.BCM2837.Base + 0x201000); err != nil { // nearly all of it a hole
		t.Fatal(err)
	}
	pi := &machine{fstest.MapFS{"proc/device-tree/compatible": &fstest.MapFile{Data: []byte("raspberrypi,3-model-b\x00brcm,bcm2837\x00")}}, boards.Host()}
	m, err := clockedMachine(f, pi)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if m.ports == pi.ports {
		t.Error("the cards' clocks are not there")
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"3f101000", "3f200000"} {
		if !strings.Contains(string(maps), " rw-s "+at+" ") {
			t.Errorf("the page at %s is not mapped\n%s", at, maps)
		}
	}
	if n := strings.Count(string(maps), f.Name()); n != 2 {
		t.Errorf("%d parts of the memory are mapped, want 2", n)
	}
	if _, err := clockedMachine(f, &machine{fstest.MapFS{}, nil}); err == nil {
		t.Error("a machine that is no Raspberry Pi has clocks")
	}
}
