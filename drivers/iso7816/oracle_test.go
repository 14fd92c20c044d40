package iso7816_test

import (
	"bytes"
	"context"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
)

// oracle is a brain whose answer is known to everybody: it depends on the
// command alone. It remembers what it has executed.
type oracle struct{ executed [][]byte }

func (o *oracle) PowerOn(context.Context) ([]byte, error) { return []byte{0x3B, 0}, nil }
func (o *oracle) Reset(context.Context, drivers.ResetKind) ([]byte, error) {
	return []byte{0x3B, 0}, nil
}
func (o *oracle) PowerOff(context.Context) error { return nil }
func (o *oracle) String() string                 { return "oracle" }

func (o *oracle) Transmit(_ context.Context, command []byte) ([]byte, error) {
	o.executed = append(o.executed, bytes.Clone(command))
	cmd, err := apdu.Parse(command)
	if err != nil {
		return []byte{0x67, 0x00}, nil
	}
	return truth(cmd), nil
}

// truth is the answer to a command: P1 P2 bytes that depend on all of it but
// its length fields, and 9000 or an error.
func truth(cmd apdu.Command) []byte {
	n := int(cmd.P1)<<8 | int(cmd.P2)
	sum := uint64(14695981039346656037) // FNV-1a
	for _, b := range append([]byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2}, cmd.Data...) {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	answer := make([]byte, n, n+2)
	for i := range answer {
		sum = sum*6364136223846793005 + 1442695040888963407
		answer[i] = byte(sum >> 56)
	}
	if sum>>32&7 == 0 {
		return append(answer, 0x6A, 0x82)
	}
	return append(answer, 0x90, 0x00)
}

// same tells whether the card has got that command; T=0 leaves length fields out.
func same(executed []byte, cmd apdu.Command) bool {
	got, err := apdu.Parse(executed)
	return err == nil && got.CLA == cmd.CLA && got.INS == cmd.INS && got.P1 == cmd.P1 && got.P2 == cmd.P2 && bytes.Equal(got.Data, cmd.Data)
}

// huge is an extended command of any length, with an answer of any length.
func (o *ordeal) huge() apdu.Command {
	cmd := apdu.Command{CLA: 0x80, INS: 0xE0, Extended: true, Data: make([]byte, 1+o.rng.IntN(65535)), Ne: 65536}
	for i := range cmd.Data {
		cmd.Data[i] = byte(o.rng.Uint32())
	}
	n := o.rng.IntN(65536)
	cmd.P1, cmd.P2 = byte(n>>8), byte(n)
	return cmd
}

// random is a command that the protocol can carry.
func (o *ordeal) random() apdu.Command {
	cmd := apdu.Command{CLA: 0x80, INS: 0xE0}
	n := o.rng.IntN(40)
	if o.rng.IntN(8) == 0 {
		n = o.rng.IntN(300)
	}
	cmd.Extended = o.rng.IntN(6) == 0
	kind := 1 + o.rng.IntN(4)
	if kind >= 3 {
		cmd.Data = make([]byte, 1+n%255)
		if cmd.Extended && o.rng.IntN(4) == 0 {
			cmd.Data = make([]byte, 1+o.rng.IntN(1200))
		}
		for i := range cmd.Data {
			cmd.Data[i] = byte(o.rng.Uint32())
		}
	}
	n = o.rng.IntN(60)
	if kind == 2 || kind == 4 {
		cmd.Ne = 1 + n
		if kind == 2 && !cmd.Extended {
			cmd.INS = 0x10
		}
		if cmd.Extended && o.rng.IntN(3) == 0 {
			n = o.rng.IntN(1500)
			cmd.Ne = n + 1 + o.rng.IntN(100)
		}
	} else {
		n = 0
	}
	if kind == 2 {
		cmd.INS = 0x10
		n = cmd.Ne
		if o.rng.IntN(8) == 0 && n > 1 {
			n--
			cmd.CLA = 0x81 // the card holds the answer for this command with the right length
		}
	}
	cmd.P1, cmd.P2 = byte(n>>8), byte(n)
	if kind == 1 || kind == 3 {
		cmd.Extended = cmd.Extended && kind == 3
	}
	return cmd
}

// want is what the driver must answer.
func (o *ordeal) want(cmd apdu.Command) []byte {
	full := truth(cmd)
	n := len(full) - 2
	switch {
	case o.protocol == 1 || cmd.Extended || n == 0:
		return full
	case cmd.Case() == 2 && n == cmd.Ne:
		return full
	case cmd.Case() == 2 && n < cmd.Ne:
		return []byte{0x6C, byte(n)}
	}
	return []byte{0x61, byte(n)}
}
