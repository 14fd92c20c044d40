package driverstest

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/cloud-of-se/tses/apdu"
)

// Pattern is n bytes 00 01 02 and so on, what the test card's data are.
func Pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// answer is the response of the card's script.
func (s *Scripted) answer(ctx context.Context, raw []byte) ([]byte, error) {
	cmd, err := apdu.Parse(raw)
	switch {
	case err != nil || s.opts.Card == T0Card && cmd.Extended:
		return reply(apdu.SWWrongLength), nil
	case s.Fault() == Always61:
		return reply(0x6110, 0x00), nil
	case s.Fault() == Always6C:
		return reply(0x6C00 | apdu.SW(byte(cmd.Ne+1))), nil
	case s.opts.Card == ChallengeCard:
		return challengeCard(cmd), nil
	case cmd.INS == apdu.INSGetResponse:
		return s.getResponse(cmd), nil
	}
	if cmd.CLA&0x80 != 0 && cmd.INS == 0xDD {
		if err := wait(ctx, time.Duration(p1p2(cmd))*time.Millisecond); err != nil {
			return nil, err
		}
	}
	response, pending := script(cmd, raw)
	if s.opts.Card == T0Card && pending.data == nil {
		response, pending = t0(cmd, response)
	}
	s.mu.Lock()
	s.chain = pending
	s.mu.Unlock()
	return response, nil
}

// script is the card's table: the response and what GET RESPONSE gives next.
func script(cmd apdu.Command, raw []byte) ([]byte, chain) {
	if cmd.CLA&0x80 != 0 {
		return proprietary(cmd, raw)
	}
	switch cmd.INS {
	case apdu.INSSelect:
		return selectFile(cmd)
	case apdu.INSReadBinary:
		return reply(apdu.SWSuccess, Pattern(cmd.Ne)...), chain{}
	case apdu.INSVerify, 0xD6, 0xD0:
		return reply(apdu.SWSuccess), chain{}
	}
	return reply(apdu.SWInstruction), chain{}
}

func selectFile(cmd apdu.Command) ([]byte, chain) {
	if cmd.P1 == 0x04 {
		switch string(cmd.Data) {
		case "\xF0\x00\x00\x00\x00\xFF":
			return reply(apdu.SWFileNotFound), chain{}
		case "\xA0\x00\x00\x00\x01\x61":
			return announce(0x61, 16)
		case "\xA0\x00\x00\x00\x01\x9F":
			return announce(0x9F, 16)
		case "\xA0\x00\x00\x00\x01\xDA":
			return reply(apdu.SWSuccess, Pattern(8)...), chain{}
		}
	}
	return reply(apdu.SWSuccess), chain{}
}

func proprietary(cmd apdu.Command, raw []byte) ([]byte, chain) {
	n := p1p2(cmd)
	switch cmd.INS {
	case 0x10:
		if n == 0 && cmd.Ne == 65536 { // P1 P2 as an extended Le
			n = cmd.Ne
		}
		return reply(apdu.SWSuccess, Pattern(n)...), chain{}
	case 0x61, 0x9F:
		return announce(cmd.INS, n)
	case 0x62:
		sw, pending := announce(0x61, n)
		return append([]byte{0xDA, 0x7A}, sw...), pending
	case 0x6C:
		want := count(cmd.P1)
		if cmd.Ne != want {
			return reply(0x6C00 | apdu.SW(cmd.P1)), chain{}
		}
		return reply(apdu.SWSuccess, Pattern(want)...), chain{}
	case 0x6F:
		return reply(0x6C00 | apdu.SW(cmd.P1)), chain{}
	case 0xE0:
		return reply(apdu.SWSuccess, cmd.Data...), chain{}
	case 0xE1:
		if len(raw) > apdu.MaxResponse-2 {
			return reply(apdu.SWWrongLength), chain{}
		}
		return reply(apdu.SWSuccess, raw...), chain{}
	case 0x5A:
		return reply(apdu.SW(n)), chain{}
	case 0xDD: // the wait is over
		return reply(apdu.SWSuccess), chain{}
	case 0x01:
		return []byte{0x90}, chain{}
	}
	return reply(apdu.SWInstruction), chain{}
}

// challengeCard knows SELECT and GET CHALLENGE.
func challengeCard(cmd apdu.Command) []byte {
	switch {
	case cmd.CLA&0x80 != 0:
		return reply(apdu.SWInstruction)
	case cmd.INS == apdu.INSSelect:
		return reply(apdu.SWSuccess)
	case cmd.INS != apdu.INSGetChallenge:
		return reply(apdu.SWInstruction)
	case cmd.Ne == 0 || len(cmd.Data) > 0:
		return reply(apdu.SWWrongLength)
	}
	challenge := make([]byte, cmd.Ne)
	rand.Read(challenge) // never fails: crypto/rand ends the process instead
	return reply(apdu.SWSuccess, challenge...)
}

func p1p2(cmd apdu.Command) int { return int(cmd.P1)<<8 | int(cmd.P2) }

// count reads a byte of which 00 stands for 256.
func count(b byte) int {
	if b == 0 {
		return 256
	}
	return int(b)
}

// reply encodes a response; it never aliases data.
func reply(sw apdu.SW, data ...byte) []byte {
	return apdu.Response{Data: slices.Clip(data), SW: sw}.Bytes()
}

// wait ends early when ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
