package iso7816_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardvm"
)

// TestRealTTYDriver runs the driver in a virtual machine on the PL011 driver of
// the kernel that a Raspberry Pi boots, with the card at the far end of the
// port. QEMU has no timing and no parity bits, but the settings are those of
// the real driver, which would say if it could not do them.
func TestRealTTYDriver(t *testing.T) {
	kernel := cardvm.Kernel(t)
	program := cardvm.Build(t, "build", "./internal/guest")
	for _, tt := range []struct {
		name string
		args []string
		port string
		atr  []byte
		want string // as a pattern
	}{
		{"PL011, T=0", cardvm.Virt, "/dev/ttyAMA0", cardsim.WithTA1(false, 0x11, 0, 0),
			"ATR 3B.*\nTTY 10323 bits/s, parity true, odd false, two stop bits true\nEND all well"},
		{"PL011, T=1, N=255", cardvm.Virt, "/dev/ttyAMA0", cardsim.WithTA1(false, 0x97, 255, 1),
			"ATR 3B.*\nTTY 480000 bits/s, parity true, odd false, two stop bits false\nEND all well"},
		{"mini UART", []string{"-M", "raspi3b", "-dtb", filepath.Join(filepath.Dir(kernel), "bcm2710-rpi-3-b.dtb"), "-serial", "null", "-serial", cardvm.Port},
			"/dev/ttyS0", cardsim.WithTA1(false, 0, 0, 0), "END .*the UART has no parity.*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := cardvm.Start(t, cardvm.Guest{
				Kernel: kernel, Program: program, Args: slices.Clone(tt.args), Append: "console=ttyAMA0 -- " + tt.port,
				Card: cardsim.Options{Brain: script(driverstest.TestCard), ATR: tt.atr},
			}, 3*time.Minute)
			if got := strings.Join(told(t, m), "\n"); !regexp.MustCompile("^" + tt.want + "$").MatchString(got) {
				t.Errorf("the guest says\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// told are the notes of the guest to its end.
func told(t *testing.T, m *cardvm.Machine) (notes []string) {
	t.Helper()
	for {
		select {
		case text := <-m.Notes:
			notes = append(notes, text)
			if strings.HasPrefix(text, "END ") {
				return notes
			}
		case <-m.Ended:
			t.Errorf("QEMU ended early: %s", m.Console())
			return notes
		}
	}
}
