package boards

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/drivers"
)

func TestHostTellsOfMissingDevices(t *testing.T) {
	h := Host()
	_, i2cErr := h.I2C("/dev/i2c-250")
	_, spiErr := h.SPI("/dev/spidev250.3")
	for device, err := range map[string]error{"/dev/i2c-250": i2cErr, "/dev/spidev250.3": spiErr} {
		if !errors.Is(err, drivers.ErrNoCard) || !strings.Contains(err.Error(), "there is no "+device) {
			t.Errorf("%s: %v", device, err)
		}
	}
}

func TestHostTakesDevicesOfTheirKindOnly(t *testing.T) {
	h := Host()
	for _, device := range []string{"/dev/i2c-", "/dev/i2c-1x", "/dev/i2c-01", "/dev/spidev0.0", "/dev/null", ""} {
		_, err := h.I2C(device)
		if err == nil || !strings.Contains(err.Error(), "want a name such as /dev/i2c-0") {
			t.Errorf("%s: %v", device, err)
		}
	}
	for _, device := range []string{"/dev/spidev0", "/dev/spidev0.0.0", "/dev/i2c-1"} {
		_, err := h.SPI(device)
		if err == nil || !strings.Contains(err.Error(), "want a name such as /dev/spidev0.0") {
			t.Errorf("%s: %v", device, err)
		}
	}
}
