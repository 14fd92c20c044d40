package driverstest

import "github.com/cloud-of-se/tses/apdu"

// chain is response data that wait for GET RESPONSE, announced by 61XX or 9FXX.
type chain struct {
	sw1  byte
	data []byte
}

// announce makes pattern(n) pending and gives the status word that says so.
// Nothing pending is success at once.
func announce(sw1 byte, n int) ([]byte, chain) {
	if n == 0 {
		return reply(apdu.SWSuccess), chain{}
	}
	c := chain{sw1: sw1, data: Pattern(n)}
	return reply(c.sw()), c
}

// sw tells how many bytes are pending; 00 stands for 256 or more.
func (c chain) sw() apdu.SW {
	sw := apdu.SW(c.sw1) << 8
	if len(c.data) < 256 {
		sw |= apdu.SW(len(c.data))
	}
	return sw
}

// getResponse gives at most Le of the pending bytes and announces the rest. Le
// 00 takes what is there; another Le that is too long is corrected by 6CXX.
func (s *Scripted) getResponse(cmd apdu.Command) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.chain.data)
	switch {
	case n == 0:
		return reply(apdu.SWConditionsNotSatisfied)
	case cmd.Ne == 0 || cmd.Ne > n && cmd.Ne < 256:
		return reply(0x6C00 | s.chain.sw()&0xFF)
	}
	now := min(cmd.Ne, n)
	data := s.chain.data[:now]
	s.chain.data = s.chain.data[now:]
	if len(s.chain.data) == 0 {
		s.chain = chain{}
		return reply(apdu.SWSuccess, data...)
	}
	return reply(s.chain.sw(), data...)
}

// t0 turns a response into what a card that speaks T=0 can say (ISO/IEC
// 7816-3, 12.2): the data of a command without Le or with its own data wait
// for GET RESPONSE, and Le must be exact. Data come with 9000 only.
func t0(cmd apdu.Command, response []byte) ([]byte, chain) {
	n := max(len(response)-2, 0) // 8001 answers one byte
	data := response[:n:n]
	switch {
	case n == 0 || cmd.Case() == 2 && cmd.Ne == n:
		return response, chain{}
	case cmd.Case() != 2:
		c := chain{sw1: 0x61, data: data}
		return reply(c.sw()), c
	case n <= 256:
		return reply(0x6C00 | apdu.SW(byte(n))), chain{}
	}
	c := chain{sw1: 0x61, data: data[cmd.Ne:]}
	return reply(c.sw(), data[:cmd.Ne]...), c
}
