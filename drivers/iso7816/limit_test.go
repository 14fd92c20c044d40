package iso7816_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/iso7816"
	"periph.io/x/conn/v3/physic"
)

// workload is what a user does with a card: commands with the length of each
// response, status word included.
type workload struct {
	name     string
	extended bool
	commands []apdu.Command
	answers  []int
}

var workloads = []workload{
	{"SELECT 13>22", false, []apdu.Command{{INS: 0xA4, P1: 4, Data: make([]byte, 7), Ne: 256}}, []int{22}},
	{"GA 44>76", false, []apdu.Command{{INS: 0x87, P1: 0x11, P2: 0x9A, Data: make([]byte, 38), Ne: 256}}, []int{76}},
	{"1 KB short", false, kilobyte(255), []int{2, 2, 2, 2, 2}},
	{"1 KB extended", true, kilobyte(1024), []int{2}},
}

// kilobyte is PUT DATA of 1024 bytes in parts.
func kilobyte(part int) (commands []apdu.Command) {
	for n := 1024; n > 0; n -= part {
		commands = append(commands, apdu.Command{INS: 0xDB, Data: make([]byte, min(part, n))})
	}
	return commands
}

// minimumT0 is the time in etu that the characters take: 12 each, 16 at every
// turn, the one to the next command included; GET RESPONSE for case 4.
func minimumT0(command apdu.Command, answer int) float64 {
	n := len(command.Data)
	if answer == 2 {
		return float64(12*(5+1+n+2) + 4*4)
	}
	return float64(12*(5+1+n+2+5+1+answer) + 6*4)
}

// minimumT1 is the same for T=1: CGT between characters, BGT at every turn,
// blocks of at most 254 bytes and R-blocks between those of a chain.
func minimumT1(command apdu.Command, answer int, cgt float64) float64 {
	raw, _ := command.Bytes() // the table has only good ones
	blocks := (len(raw) + 253) / 254
	chars := len(raw) + 4*blocks + 4*(blocks-1) + answer + 4
	return float64(chars)*cgt + float64(2*blocks)*(22-cgt)
}

// TestWireLimit measures in virtual time what the driver adds to the wire: 20 %
// at the most.
func TestWireLimit(t *testing.T) {
	for _, row := range []struct {
		name     string
		clock    physic.Frequency
		ta1      byte
		n        int
		protocol int
	}{
		{"T=0 9600", 3571200 * physic.Hertz, 0x11, 0, 0},
		{"T=0 10323", 3840 * physic.KiloHertz, 0x11, 0, 0},
		{"T=0 60000", 3840 * physic.KiloHertz, 0x94, 0, 0},
		{"T=0 115200", 3571200 * physic.Hertz, 0x18, 0, 0},
		{"T=0 120000", 3840 * physic.KiloHertz, 0x95, 0, 0},
		{"T=0 240000", 3840 * physic.KiloHertz, 0x96, 0, 0},
		{"T=0 300000", 4800 * physic.KiloHertz, 0x96, 0, 0},
		{"T=0 480000", 3840 * physic.KiloHertz, 0x97, 0, 0},
		{"T=0 600000", 4800 * physic.KiloHertz, 0x97, 0, 0},
		{"T=1 9600", 3571200 * physic.Hertz, 0x11, 0, 1},
		{"T=1 10323", 3840 * physic.KiloHertz, 0x11, 0, 1},
		{"T=1 60000", 3840 * physic.KiloHertz, 0x94, 0, 1},
		{"T=1 115200", 3571200 * physic.Hertz, 0x18, 0, 1},
		{"T=1 120000", 3840 * physic.KiloHertz, 0x95, 0, 1},
		{"T=1 240000", 3840 * physic.KiloHertz, 0x96, 0, 1},
		{"T=1 300000", 4800 * physic.KiloHertz, 0x96, 0, 1},
		{"T=1 480000", 3840 * physic.KiloHertz, 0x97, 0, 1},
		{"T=1 600000", 4800 * physic.KiloHertz, 0x97, 0, 1},
		{"T=1 N=255 480000", 3840 * physic.KiloHertz, 0x97, 255, 1},
		{"T=1 N=255 600000", 4800 * physic.KiloHertz, 0x97, 255, 1},
	} {
		line := fmt.Sprintf("%-18s", row.name)
		for _, w := range workloads {
			if w.extended && row.protocol == 0 {
				continue
			}
			var measured, minimum time.Duration
			synctest.Test(t, func(t *testing.T) {
				card := cardsim.Options{Clock: row.clock, ATR: atrIFSC(t, row.ta1, row.n, row.protocol), Brain: talker(w)}
				d, slot := open(t, card, nil)
				measured = measure(t, d, w, row.protocol)
				rate, _ := slot.Rate()
				var etus float64
				for i, c := range w.commands {
					if row.protocol == 0 {
						etus += minimumT0(c, w.answers[i])
					} else if cgt := 12.0; row.n == 255 {
						etus += minimumT1(c, w.answers[i], cgt-1)
					} else {
						etus += minimumT1(c, w.answers[i], cgt)
					}
				}
				minimum = time.Duration(etus / rate * 1e9)
			})
			ratio := float64(measured) / float64(minimum)
			line += fmt.Sprintf("  %s %8.2f ms, minimum %8.2f ms, ratio %.3f", w.name, measured.Seconds()*1e3, minimum.Seconds()*1e3, ratio)
			if ratio > 1.2 || ratio < 0.99 {
				t.Errorf("%s, %s: %v, the minimum is %v: ratio %.3f, want 1 to 1.2", row.name, w.name, measured, minimum, ratio)
			}
		}
		t.Log(line)
	}
}

// atrIFSC is an answer to reset with TA(1), N, and IFSC 254 for T=1.
func atrIFSC(t *testing.T, ta1 byte, n, protocol int) []byte {
	t.Helper()
	a := apdu.NewATR(nil, protocol)
	a.Groups = []apdu.InterfaceGroup{{TA: apdu.Interface(ta1)}}
	if n != 0 {
		a.Groups[0].TC = apdu.Interface(byte(n))
	}
	if protocol == 1 {
		a.Groups = append(a.Groups, apdu.InterfaceGroup{T: 1}, apdu.InterfaceGroup{T: 1, TA: apdu.Interface(254)})
	}
	b, err := a.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// talker answers the commands of a workload at once.
func talker(w workload) *driverstest.Scripted {
	next := 0
	return driverstest.NewScripted(driverstest.Options{Answer: func(context.Context, []byte) ([]byte, error, bool) {
		n := w.answers[next%len(w.answers)]
		next++
		return append(make([]byte, n-2), 0x90, 0), nil, true
	}})
}

// measure is the time of a workload that follows another.
func measure(t *testing.T, d *iso7816.Dev, w workload, protocol int) time.Duration {
	t.Helper()
	if _, err := d.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	const rounds = 5
	var start time.Time
	for i := range 1 + rounds {
		if i == 1 {
			start = time.Now()
		}
		for i, c := range w.commands {
			transmit(t, d, c, w.answers[i], protocol)
		}
	}
	return time.Since(start) / rounds
}

func transmit(t *testing.T, d *iso7816.Dev, c apdu.Command, want, protocol int) {
	t.Helper()
	raw, err := c.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Transmit(t.Context(), raw)
	if protocol == 0 && err == nil && len(got) == 2 && got[0] == 0x61 {
		got, err = d.Transmit(t.Context(), []byte{0x00, 0xC0, 0x00, 0x00, got[1]})
	}
	if err != nil || len(got) != want {
		t.Fatalf("%v: %X, %v; want %d bytes", c, got, err, want)
	}
}
