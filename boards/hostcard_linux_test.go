package boards

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/iso7816"
	"github.com/cloud-of-se/tses/internal/needs"
)

// pty is the name of a pseudo-terminal, which stands for a serial adapter.
func pty(t *testing.T) string {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		needs.Missing(t, "there are no pseudo-terminals here")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	if err := unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/dev/pts/%d", n)
}

// TestHostCardOfAnAdapter: the lines of the ready-made adapters are those that
// the driver knows them by.
func TestHostCardOfAnAdapter(t *testing.T) {
	for name, known := range map[string]func(*iso7816.TTY) *iso7816.ModemContacts{"phoenix": iso7816.Phoenix, "smartmouse": iso7816.Smartmouse} {
		w := wired(t, Element{Driver: ISO7816, Carrier: name})[0]
		uart, contacts, clock, err := Host().Card(CardPorts{Device: pty(t), Reset: w.Reset, Clock: w.Clock})
		if err != nil {
			t.Fatal(err)
		}
		defer uart.Close()
		got, ok := contacts.(*iso7816.ModemContacts)
		if want := known(uart.(*iso7816.TTY)); !ok || *got != *want {
			t.Errorf("%s: %+v, want %+v", name, contacts, want)
		}
		if clock.Frequency() != 3579545*physic.Hertz {
			t.Errorf("%s: %s", name, clock)
		}
	}
}

func TestHostCardFails(t *testing.T) {
	for _, test := range []struct {
		name string
		at   CardPorts
		want string
	}{
		{"missing", CardPorts{Device: "/dev/ttyUSB250"}, "there is no /dev/ttyUSB250; is the adapter plugged in?"},
		{"no serial port", CardPorts{Device: "/dev/null"}, "/dev/null is no serial port"},
		{"no pins", CardPorts{Device: pty(t), Reset: Line{Pin: GPIO(40)}}, "reset: GPIO40: no GPIO controller of a Raspberry Pi is there"},
	} {
		_, _, _, err := Host().Card(test.at)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
	if _, _, _, err := Host().Card(CardPorts{Device: "/dev/ttyUSB250"}); !errors.Is(err, drivers.ErrNoCard) {
		t.Errorf("%v, want %v", err, drivers.ErrNoCard)
	}
}

// TestOpenOnAPseudoTerminal goes the whole way but the card: a line without
// parity is refused.
func TestOpenOnAPseudoTerminal(t *testing.T) {
	w := wired(t, Element{Driver: ISO7816, Carrier: "phoenix", Device: pty(t)})[0]
	_, _, err := detect(t, fstest.MapFS{}).Open(w, Host())
	if !errors.Is(err, iso7816.ErrUnsupported) {
		t.Errorf("%v, want %v", err, iso7816.ErrUnsupported)
	}
}

func TestPinContactsPolarity(t *testing.T) {
	high, low := Line{Active: gpio.High}, Line{Active: gpio.Low}
	for _, test := range []struct {
		at   CardPorts
		want iso7816.PinContacts
	}{
		{CardPorts{Reset: low, Power: high, Detect: high}, iso7816.PinContacts{}},
		{CardPorts{Reset: high, Power: low, Detect: low}, iso7816.PinContacts{InvertRST: true, InvertVCC: true, InvertDetect: true}},
	} {
		if got := test.at.pinContacts(); *got != test.want {
			t.Errorf("%+v: %+v, want %+v", test.at, got, test.want)
		}
	}
}

func TestRestPull(t *testing.T) {
	if restPull(gpio.Low) != gpio.PullUp || restPull(gpio.High) != gpio.PullDown {
		t.Error("a switch that is open must not look closed")
	}
}
