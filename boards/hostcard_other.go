//go:build !linux

package boards

import (
	"fmt"
	"runtime"

	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// Card implements [Ports].
func (host) Card(at CardPorts) (iso7816.UART, iso7816.Contacts, iso7816.Clock, error) {
	return nil, nil, nil, fmt.Errorf("%s: %w: the driver of cards on a UART knows the serial ports of Linux, not of %s", at.Device, iso7816.ErrUnsupported, runtime.GOOS)
}
