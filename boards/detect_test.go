package boards

import (
	"testing"
	"testing/fstest"
)

func TestDetect(t *testing.T) {
	for _, test := range []struct{ compatible, model, want, title string }{
		{"raspberrypi,3-model-b\x00brcm,bcm2837\x00", "Raspberry Pi 3 Model B Rev 1.2\x00", "3b", "Raspberry Pi 3 Model B Rev 1.2"},
		{"raspberrypi,3-model-b-plus\x00brcm,bcm2837\x00", "Raspberry Pi 3 Model B Plus Rev 1.3\x00", "3b+", "Raspberry Pi 3 Model B Plus Rev 1.3"},
		{"raspberrypi,4-model-b\x00brcm,bcm2711\x00", "Raspberry Pi 4 Model B Rev 1.4\x00", "4b", "Raspberry Pi 4 Model B Rev 1.4"},
		{"raspberrypi,4-compute-module\x00brcm,bcm2711\x00", "Raspberry Pi Compute Module 4 Rev 1.0\x00", "cm4", "Raspberry Pi Compute Module 4 Rev 1.0"},
		{"raspberrypi,model-zero-2-w\x00brcm,bcm2837\x00", "Raspberry Pi Zero 2 W Rev 1.0\x00", "zero2w", "Raspberry Pi Zero 2 W Rev 1.0"},
		{"raspberrypi,5-model-b\x00brcm,bcm2712\x00", "Raspberry Pi 5 Model B Rev 1.0\x00", "5b", "Raspberry Pi 5 Model B Rev 1.0"},
		{"raspberrypi,2-model-b-rev2\x00brcm,bcm2837\x00", "Raspberry Pi 2 Model B Rev 1.2\x00", "", "Raspberry Pi 2 Model B Rev 1.2"},
		{"linux,dummy-virt\x00", "linux,dummy-virt\x00", "", "linux,dummy-virt"},
		{"raspberrypi,4-model-b\x00", "", "4b", "this machine"},
	} {
		root := fstest.MapFS{"proc/device-tree/compatible": file(test.compatible)}
		if test.model != "" {
			root["proc/device-tree/model"] = file(test.model)
		}
		b := detect(t, root)
		m, ok := b.Model()
		if m.Name != test.want || ok != (test.want != "") || b.String() != test.title {
			t.Errorf("%q: %q %v %q, want %q %q", test.compatible, m.Name, ok, b, test.want, test.title)
		}
	}
}

func TestDetectWithoutDeviceTree(t *testing.T) {
	b := detect(t, fstest.MapFS{})
	if _, ok := b.Model(); ok || b.String() != "this machine" {
		t.Errorf("%q %v", b, ok)
	}
}

func TestByNameUnknown(t *testing.T) {
	_, err := ByName("6b")
	const want = `board "6b" is not known; there is 3b, 3b+, 3a+, cm3, zero2w, 4b, 400, cm4, cm4s, 5b, 500, cm5`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestModelsAreSound(t *testing.T) {
	names := make(map[string]bool)
	for _, m := range Models() {
		if m.Name == "" || m.Title == "" || m.Compatible == "" || m.chip == nil || names[m.Name] {
			t.Errorf("%+v", m)
		}
		names[m.Name] = true
		buses := make(map[string]bool)
		for _, b := range m.chip.buses {
			if buses[b.name] || len(b.routes) == 0 || (b.kind == uartBus) == (b.device != "") || b.kind == spiBus && len(b.cs) < 2 {
				t.Errorf("%s: %+v", m.Name, b)
			}
			buses[b.name] = true
		}
	}
}
