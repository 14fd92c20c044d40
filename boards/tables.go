package boards

import (
	"errors"
	"fmt"

	"github.com/BurntSushi/toml"
)

// Wirings reads the elements with a wiring out of a TSES's configuration file,
// for who has to know them before that TSES runs: the builder of its SD card,
// which asks [Board.Firmware]. All else in the file is left to the TSES.
func Wirings(config string) ([]Wiring, error) {
	var tables struct {
		Elements []struct {
			SEID    string `toml:"seid"`
			Element        // with the driver
		} `toml:"element"`
	}
	if _, err := toml.Decode(config, &tables); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var ws []Wiring
	var errs []error
	for _, e := range tables.Elements {
		if Keys(e.Driver) == nil {
			continue // of another driver
		}
		w, err := e.Wiring(e.SEID)
		ws, errs = append(ws, w), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return ws, nil
}
