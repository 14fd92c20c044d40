package boards

// Model is a kind of Raspberry Pi.
type Model struct {
	Name       string // as people call it and the image builder takes it: "4b"
	Title      string // "Raspberry Pi 4 Model B"
	Compatible string // its first word in the device tree: "raspberrypi,4-model-b"

	// Wifi names the Wi-Fi chips that it can have, as their driver names their
	// firmware: "brcmfmac43455-sdio". Makers have changed chips within a model.
	Wifi []string

	chip     *chip
	module   bool // a compute module: no header, GPIO28 to 45 are led out too
	wireless bool // Bluetooth is there and has uart0 unless told otherwise
}

// The Wi-Fi chips of Raspberry Pis, as the driver brcmfmac names their firmware.
const (
	wifi43430   = "brcmfmac43430-sdio"
	wifi43430B0 = "brcmfmac43430b0-sdio"
	wifi43455   = "brcmfmac43455-sdio"
	wifi43456   = "brcmfmac43456-sdio"
)

// Models lists the kinds that are known.
func Models() []Model { return append([]Model(nil), models...) }

var models = []Model{
	{Name: "3b", Title: "Raspberry Pi 3 Model B", Compatible: "raspberrypi,3-model-b", chip: &bcm2837, Wifi: []string{wifi43430}, wireless: true},
	{Name: "3b+", Title: "Raspberry Pi 3 Model B+", Compatible: "raspberrypi,3-model-b-plus", chip: &bcm2837, Wifi: []string{wifi43455}, wireless: true},
	{Name: "3a+", Title: "Raspberry Pi 3 Model A+", Compatible: "raspberrypi,3-model-a-plus", chip: &bcm2837, Wifi: []string{wifi43455}, wireless: true},
	{Name: "cm3", Title: "Raspberry Pi Compute Module 3", Compatible: "raspberrypi,3-compute-module", chip: &bcm2837, module: true},
	{Name: "zero2w", Title: "Raspberry Pi Zero 2 W", Compatible: "raspberrypi,model-zero-2-w", chip: &bcm2837, Wifi: []string{wifi43430, wifi43430B0}, wireless: true},
	{Name: "4b", Title: "Raspberry Pi 4 Model B", Compatible: "raspberrypi,4-model-b", chip: &bcm2711, Wifi: []string{wifi43455}, wireless: true},
	{Name: "400", Title: "Raspberry Pi 400", Compatible: "raspberrypi,400", chip: &bcm2711, Wifi: []string{wifi43456, wifi43455}, wireless: true},
	{Name: "cm4", Title: "Raspberry Pi Compute Module 4", Compatible: "raspberrypi,4-compute-module", chip: &bcm2711, Wifi: []string{wifi43455}, module: true, wireless: true},
	{Name: "cm4s", Title: "Raspberry Pi Compute Module 4S", Compatible: "raspberrypi,4-compute-module-s", chip: &bcm2711, module: true},
	{Name: "5b", Title: "Raspberry Pi 5", Compatible: "raspberrypi,5-model-b", chip: &bcm2712},
	{Name: "500", Title: "Raspberry Pi 500", Compatible: "raspberrypi,500", chip: &bcm2712},
	{Name: "cm5", Title: "Raspberry Pi Compute Module 5", Compatible: "raspberrypi,5-compute-module", chip: &bcm2712},
}

// has tells whether the model leads a pin out.
func (m *Model) has(p Pin) bool {
	if m.module {
		return p.Number() <= lastGPIO
	}
	return p.Number() <= lastHeader
}
