//go:build linux

package main

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/cloud-of-se/tses/gokrazy/internal/wifi"
)

// joinWifi is how the box is connected where the configuration has
// [network.wifi], and nil where it has not.
func (b *box) joinWifi() (func(ctx context.Context, joined func(ctx context.Context, iface string) error) error, error) {
	w := b.config.Network.Wifi
	if !w.Given() {
		return nil, nil
	}
	n := wifi.Network{SSID: w.SSID, Open: w.Open, Country: w.Country}
	var err error
	switch {
	case w.PSK != "":
		_, err = hex.Decode(n.PSK[:], []byte(w.PSK))
	case w.Passphrase != "":
		n.PSK, err = wifi.PSK(w.SSID, w.Passphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("network.wifi: %w", err)
	}
	if err := wifi.LoadDrivers(wifi.ModulesDir); err != nil {
		// The driver may be in the kernel, or come with an adapter.
		b.log.Warn("Wi-Fi: the driver of a Raspberry Pi's chip is not loaded", "err", err)
	} else {
		b.log.Info("Wi-Fi: the driver of a Raspberry Pi's chip is loaded, brcmfmac")
	}
	s := &wifi.Station{Network: n, Interface: b.config.Network.Interface, Log: b.log}
	return s.Run, nil
}
