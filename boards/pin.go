package boards

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Pin is a GPIO of the board. The zero value is no pin.
type Pin uint8

// NoPin is a pin that is not wired.
const NoPin Pin = 0

// lastGPIO is the highest GPIO of the first bank, which compute modules lead
// out whole; the 40-pin header ends at GPIO27.
const (
	lastGPIO   = 45
	lastHeader = 27
)

// GPIO is the pin with number n as the makers of the chips count, 0 to 45.
func GPIO(n int) Pin { return Pin(n + 1) }

// Number is n of GPIO(n); -1 for [NoPin].
func (p Pin) Number() int { return int(p) - 1 }

// String is "GPIO17", and "GPIO17 (pin 11)" where the 40-pin header has it.
func (p Pin) String() string {
	if p == NoPin {
		return "no pin"
	}
	if at := slices.Index(header[:], p); at > 0 {
		return fmt.Sprintf("%s (pin %d)", p.name(), at)
	}
	return p.name()
}

func (p Pin) name() string { return "GPIO" + strconv.Itoa(p.Number()) }

// header is the 40-pin header, by the number of the pin; power and ground are
// [NoPin].
var header = headerPins(map[int]int{
	3: 2, 5: 3, 7: 4, 8: 14, 10: 15, 11: 17, 12: 18, 13: 27, 15: 22, 16: 23,
	18: 24, 19: 10, 21: 9, 22: 25, 23: 11, 24: 8, 26: 7, 27: 0, 28: 1, 29: 5,
	31: 6, 32: 12, 33: 13, 35: 19, 36: 16, 37: 26, 38: 20, 40: 21,
})

func headerPins(gpios map[int]int) (h [41]Pin) {
	for at, gpio := range gpios {
		h[at] = GPIO(gpio)
	}
	return h
}

// ParsePin reads "GPIO17", or "pin11" for what is at place 11 of the 40-pin
// header. A bare number is refused: it is meant either way.
func ParsePin(s string) (Pin, error) {
	lower := strings.ToLower(strings.ReplaceAll(s, " ", ""))
	if digits, ok := strings.CutPrefix(lower, "gpio"); ok {
		n, err := parseNumber(digits, lastGPIO)
		if err != nil {
			return NoPin, fmt.Errorf("pin %.32q: GPIO0 to GPIO%d can be led out", s, lastGPIO)
		}
		return GPIO(n), nil
	}
	if digits, ok := strings.CutPrefix(lower, "pin"); ok {
		n, err := parseNumber(digits, 40)
		if err != nil || n == 0 {
			return NoPin, fmt.Errorf("pin %.32q: the header has pin1 to pin40", s)
		}
		if header[n] == NoPin {
			return NoPin, fmt.Errorf("pin %.32q: that place of the header is power or ground", s)
		}
		return header[n], nil
	}
	if n, err := parseNumber(lower, 40); err == nil && n > 0 && header[n] == NoPin {
		return NoPin, fmt.Errorf("pin %.32q: write %q; place %d of the header is power or ground", s, "GPIO"+lower, n)
	} else if err == nil && n > 0 {
		return NoPin, fmt.Errorf("pin %.32q: write %q, or %q for place %d of the header, which is %s", s, "GPIO"+lower, "pin"+lower, n, header[n].name())
	}
	return NoPin, fmt.Errorf("pin %.32q: want a name such as %q or %q", s, "GPIO17", "pin11")
}

// parseNumber reads plain decimal digits up to most.
func parseNumber(s string, most int) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || int(n) > most || s != strconv.Itoa(int(n)) {
		return 0, fmt.Errorf("%.8q is no number up to %d", s, most)
	}
	return int(n), nil
}

// pinList writes pins for a reader: "GPIO2, GPIO3".
func pinList(pins []Pin) string {
	names := make([]string, len(pins))
	for i, p := range pins {
		names[i] = p.name()
	}
	return strings.Join(names, ", ")
}

func gpios(numbers ...int) []Pin {
	pins := make([]Pin, len(numbers))
	for i, n := range numbers {
		pins[i] = GPIO(n)
	}
	return pins
}
