package spi_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	periphspi "periph.io/x/conn/v3/spi"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/spi"
)

// tape is a port whose other end is literal bytes: what the host has to write,
// and what it reads then. It implements [periphspi.PortCloser].
type tape struct {
	steps []step
	rest  []byte // of what is to be read now
	at    int    // the step that was written last
	clock physic.Frequency
	wrong []string
}

// step is a block of the host, empty for none, and what the chip says after it.
type step struct{ write, read string }

func (p *tape) String() string                      { return "tape" }
func (p *tape) Close() error                        { return nil }
func (p *tape) LimitSpeed(f physic.Frequency) error { p.clock = f; return nil }
func (p *tape) Duplex() conn.Duplex                 { return conn.Full }
func (p *tape) TxPackets([]periphspi.Packet) error  { return errors.New("not on this tape") }
func (p *tape) Connect(physic.Frequency, periphspi.Mode, int) (periphspi.Conn, error) {
	return p, nil
}

// Tx reads where the host sends zeros.
func (p *tape) Tx(w, r []byte) error {
	clear(r)
	if bytes.Count(w, []byte{0}) == len(w) {
		n := copy(r, p.rest)
		p.rest = p.rest[n:]
		return nil
	}
	if p.at++; p.at >= len(p.steps) || !bytes.Equal(w, unhex(p.steps[p.at].write)) {
		want := "nothing"
		if p.at < len(p.steps) {
			want = p.steps[p.at].write
		}
		p.wrong = append(p.wrong, fmt.Sprintf("the host writes %X, want %s", w, want))
		return nil
	}
	p.rest = unhex(p.steps[p.at].read)
	return nil
}

// start is what the chip says by itself.
func (p *tape) start() { p.rest, p.at = unhex(p.steps[0].read), 0 }

const st54ATP = "25 5354564944 0690 01 28 1F40 01 FE 535435344A 0000000000000000000000000000000000 223E"

// TestVectors: what the driver says to chips and takes from them, byte by byte.
// The bytes are from the makers' own hosts; the simulators are held to the same
// ones. In each case a command follows.
func TestVectors(t *testing.T) {
	for name, tt := range map[string]struct {
		dialect string
		reset   drivers.ResetKind // after PowerOn
		steps   []step
		atr     string
		clock   physic.Frequency
	}{
		"ST54": {spi.ST54, drivers.Cold, []step{
			{"", st54ATP},
			{"21 C1 01 FE 59 38", "12 E1 01 FE 5D 52"},
			{"21 00 05 80CA00FE00 81 2B", "12 00 02 9000 5A C1"},
		}, "3B 85 01 535435344A", 8 * physic.MegaHertz},
		"ST54, a warm reset": {spi.ST54, drivers.Warm, []step{
			{"", st54ATP},
			{"21 C1 01 FE 59 38", "12 E1 01 FE 5D 52"},
			{"21 CF 00 49 D6", "12 EF 26" + st54ATP + "B4 55"},
			{"21 C1 01 FE 59 38", "12 E1 01 FE 5D 52"},
			{"21 00 05 80CA00FE00 81 2B", "12 00 02 9000 5A C1"},
		}, "3B 85 01 535435344A", 8 * physic.MegaHertz},
		"NXP SN220": {spi.NXPeSE, drivers.Cold, []step{
			{},
			{"5A C4 00 C4", "A5 E4 15 A000000320 01 0000 0658 1F40 00 FE 01 0400 000C 00 01 84"},
			{"5A C1 02 0400 C7", "A5 E1 02 0400 E7"},
			{"5A 00 05 80CA00FE00 B1", "A5 00 02 9000 92"},
		}, "3B 80 01", 8 * physic.MegaHertz},
		"NXP PN80T": {spi.NXPeSE, drivers.Cold, []step{
			{},
			{"5A C4 00 C4", "A5 E4 00 E4"},
			{"5A 00 05 80CA00FE00 B1", "A5 00 02 9000 92"},
		}, "3B 80 01", physic.MegaHertz},
		"NXP, older, with timers": {spi.NXPeSE, drivers.Cold, []step{
			{},
			{"5A C4 00 C4", "A5 E4 12 F10400000001 F20400000002 F30400000003 02"},
			{"5A 00 05 80CA00FE00 B1", "A5 00 02 9000 92"},
		}, "3B 80 01", physic.MegaHertz},
		"Thales": {spi.Thales, drivers.Cold, []step{
			{},
			{"12 C5 00 D7", "21 E5 08 83 81 11 20 655345 40 CC"},
			{"12 C1 01 FE 2C", "21 E1 01 FE 3F"},
			{"12 00 05 80CA00FE00 A3", "21 00 02 9000 B3"},
		}, "3B 83 81 11 20 655345", physic.MegaHertz},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				port := &tape{steps: tt.steps}
				opts := spi.DefaultOpts
				opts.Dialect = tt.dialect
				if tt.dialect == spi.ST54 {
					opts.Reset = &pulse{gpio.INVALID, port}
				}
				port.start()
				se, err := spi.New(port, &opts)
				if err != nil {
					t.Fatal(err)
				}
				atr, err := se.PowerOn(t.Context())
				if err == nil && tt.reset == drivers.Warm {
					atr, err = se.Reset(t.Context(), drivers.Warm)
				}
				if err != nil || !bytes.HasPrefix(atr, unhex(tt.atr)) {
					t.Errorf("answer to reset %X, %v; want %s", atr, err, tt.atr)
				}
				answer, err := se.Transmit(t.Context(), unhex("80CA00FE00"))
				if err != nil || !bytes.Equal(answer, unhex("9000")) {
					t.Errorf("Transmit: %X, %v", answer, err)
				}
				for _, wrong := range port.wrong {
					t.Error(wrong)
				}
				if port.at != len(tt.steps)-1 {
					t.Errorf("the host has come to step %d of %d", port.at, len(tt.steps)-1)
				}
				if port.clock != tt.clock {
					t.Errorf("clock of %s, want %s", port.clock, tt.clock)
				}
			})
		})
	}
}

// pulse is the reset pin of a tape.
type pulse struct {
	gpio.PinOut
	port *tape
}

func (p *pulse) Out(l gpio.Level) error {
	if l == gpio.High {
		p.port.start()
	}
	return nil
}
