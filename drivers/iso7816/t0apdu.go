package iso7816

import (
	"context"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
)

// transmit maps a command APDU to TPDUs; see the package comment.
func (t *t0) transmit(ctx context.Context, command []byte) (response []byte, mayRun bool, err error) {
	cmd, err := apdu.Parse(command)
	if err != nil {
		return nil, false, err
	}
	if high := cmd.INS & sw1Mask; high == 0x60 || high == 0x90 {
		return nil, false, fmt.Errorf("%w: T=0 cannot carry INS %02X: it is taken for a status word", ErrUnsupported, cmd.INS)
	}
	if !cmd.Extended {
		return t.exchange(ctx, short(cmd, cmd.Ne))
	}
	x := extended{t0: t, cmd: cmd}
	response, err = x.run(ctx, command)
	return response, x.mayRun, err
}

// short is the TPDU of cases 1 to 4 with short length fields.
func short(cmd apdu.Command, ne int) tpdu {
	c := tpdu{header: [5]byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2}, data: cmd.Data}
	if len(cmd.Data) > 0 {
		c.header[4] = byte(len(cmd.Data))
	} else {
		c.ne = ne
		c.header[4] = byte(ne) // 256 is 00
	}
	return c
}

// extended carries one extended APDU (ISO/IEC 7816-3, 12.2.6 to 12.2.8).
type extended struct {
	*t0
	cmd    apdu.Command
	mayRun bool
}

func (x *extended) run(ctx context.Context, command []byte) ([]byte, error) {
	var r []byte
	var err error
	if len(x.cmd.Data) > 255 {
		r, err = x.envelope(ctx, command)
	} else {
		r, err = x.correct(ctx, short(x.cmd, min(x.cmd.Ne, 256)))
	}
	if err != nil {
		return nil, err
	}
	return x.fetch(ctx, r)
}

// step is one TPDU. decisive says that the card can execute the command once it
// has it.
func (x *extended) step(ctx context.Context, c tpdu, decisive bool) ([]byte, error) {
	r, begun, err := x.exchange(ctx, c)
	x.mayRun = x.mayRun || begun && decisive
	return r, err
}

// envelope sends the APDU itself as data. A status word other than 9000 before
// the last part is the answer.
func (x *extended) envelope(ctx context.Context, command []byte) ([]byte, error) {
	for {
		n := min(len(command), 255)
		last := n == len(command)
		env := apdu.Command{CLA: transportClass(x.cmd.CLA), INS: apdu.INSEnvelope, Data: command[:n]}
		r, err := x.step(ctx, short(env, 0), last)
		if err != nil {
			return nil, err
		}
		if last || apdu.SW(r[0])<<8|apdu.SW(r[1]) != apdu.SWSuccess {
			return r, nil
		}
		command = command[n:]
	}
}

// correct is a TPDU that is sent once more if the card answers with the right
// length (6CXX), which says that it has not executed it.
func (x *extended) correct(ctx context.Context, c tpdu) ([]byte, error) {
	r, err := x.step(ctx, c, true)
	if err == nil && c.ne > 0 && len(r) == 2 && r[0] == 0x6C && r[1] != c.header[4] {
		c.header[4] = r[1]
		c.ne = length(r[1])
		return x.step(ctx, c, true)
	}
	return r, err
}

// fetch follows 61XX by GET RESPONSE until there are Ne bytes or no more.
func (x *extended) fetch(ctx context.Context, r []byte) ([]byte, error) {
	for {
		n := len(r) - 2
		sw1, sw2 := r[n], r[n+1]
		if sw1 != 0x61 || n >= x.cmd.Ne {
			return x.cut(r), nil
		}
		get := apdu.Command{CLA: transportClass(x.cmd.CLA), INS: apdu.INSGetResponse}
		more, err := x.correct(ctx, short(get, min(length(sw2), x.cmd.Ne-n)))
		if err != nil {
			clear(r)
			return nil, err
		}
		r = append(r[:n], more...)
		if len(more) == 2 { // nothing came: it will not come at the next try
			return x.cut(r), nil
		}
	}
}

// cut takes off what is beyond Ne, as after a GET RESPONSE with the length that
// a card has corrected upwards.
func (x *extended) cut(r []byte) []byte {
	n := len(r) - 2
	if x.cmd.Ne > 0 && n > x.cmd.Ne {
		return append(r[:x.cmd.Ne], r[n:]...)
	}
	return r
}

// length reads a length byte of which 00 is 256.
func length(b byte) int {
	if b == 0 {
		return 256
	}
	return int(b)
}

// transportClass is the class of ENVELOPE and GET RESPONSE for a command: on the
// same channel, or A0 where a SIM has nothing else (ETSI TS 100 977, 9.2).
func transportClass(cla byte) byte {
	if cla == 0xA0 {
		return cla
	}
	return apdu.OnChannel(0, apdu.Class(cla).Channel())
}
