package boards

import (
	"fmt"
	"strings"

	"periph.io/x/conn/v3/gpio"
)

// Modem is a control line of a serial adapter.
type Modem string

// The control lines that an adapter for cards uses.
const (
	RTS Modem = "RTS"
	DTR Modem = "DTR"
)

// Line is a signal beside the bus: where it is and which level is the active
// one. The zero value is not wired.
type Line struct {
	Pin    Pin
	Modem  Modem // in place of a pin, on a serial adapter
	Active gpio.Level
}

// Wired tells whether there is such a line.
func (l Line) Wired() bool { return l.Pin != NoPin || l.Modem != "" }

// String is "GPIO22 (pin 15), active low".
func (l Line) String() string {
	place := l.Pin.String()
	switch {
	case !l.Wired():
		return "not wired"
	case l.Modem != "":
		place = string(l.Modem)
	}
	return place + ", active " + strings.ToLower(l.Active.String())
}

// parseLine reads a pin or a control line, and behind it "active low" or
// "active high" where it is not as usual.
func parseLine(s string, usual gpio.Level) (Line, error) {
	place, active, given := strings.Cut(strings.ToLower(strings.ReplaceAll(s, ",", " ")), "active")
	l := Line{Active: usual}
	if given {
		switch strings.TrimSpace(active) {
		case "low":
			l.Active = gpio.Low
		case "high":
			l.Active = gpio.High
		default:
			return Line{}, fmt.Errorf("%.48q: want \"active low\" or \"active high\" behind the pin", s)
		}
	}
	switch modem := Modem(strings.ToUpper(strings.TrimSpace(place))); modem {
	case RTS, DTR:
		l.Modem = modem
		return l, nil
	}
	var err error
	l.Pin, err = ParsePin(strings.TrimSpace(place))
	if err != nil {
		return Line{}, err
	}
	return l, nil
}
