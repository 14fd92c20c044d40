package piv

import (
	"crypto/subtle"
	"io"

	"github.com/cloud-of-se/tses/apdu"
)

// exchange is an authentication with the management key that is half done:
// what the selection expects back.
type exchange struct {
	kind  exchangeKind
	value []byte // expected bytes, one cipher block
	epoch uint64 // of the key that value belongs to
}

type exchangeKind byte

const (
	noExchange exchangeKind = iota
	externalExchange
	mutualExchange
)

func (e *exchange) end() {
	clear(e.value)
	*e = exchange{}
}

// authenticateManagement is GENERAL AUTHENTICATE with key reference 9B (SP
// 800-73-4 part 2, 3.2.4 and appendix A.1). What the template holds says
// which step it is:
//
//	80 empty             witness of the mutual authentication: an encrypted block
//	80 W, 81 C           the witness in clear and a challenge; the response is C encrypted
//	81 empty             challenge of the external authentication
//	82 R                 its response, the challenge encrypted
//	81 C, 82 empty       internal authentication: C encrypted
//
// The last one needs the management key to have been authenticated: else it
// would answer the card's own challenge of another channel.
func (s *selection) authenticateManagement(c apdu.Command) ([]byte, error) {
	key := &s.app.state.management
	if alg := algorithm(c.P1); alg != key.algorithm && alg != 0 { // 00 is the default algorithm of the reference
		return nil, apdu.SWIncorrectP1P2
	}
	t, err := parseDynamicTemplate(c.Data)
	if err != nil {
		return nil, err
	}
	pending := s.exchange
	s.exchange = exchange{} // an exchange has one answer, right or wrong
	defer pending.end()
	switch {
	case t.has(tagExponentiation):
		return nil, apdu.SWWrongData
	case t.has(tagWitness) && len(t.witness) == 0 && !t.has(tagChallenge):
		return s.beginExchange(mutualExchange)
	case t.has(tagWitness) && t.has(tagChallenge) && len(t.response) == 0:
		return s.finishMutual(pending, t)
	case t.has(tagWitness):
		return nil, apdu.SWWrongData
	case t.has(tagChallenge) && len(t.challenge) == 0 && !t.has(tagResponse):
		return s.beginExchange(externalExchange)
	case t.has(tagChallenge) && t.has(tagResponse) && len(t.response) == 0:
		return s.internalAuthenticate(t)
	case t.has(tagResponse) && !t.has(tagChallenge):
		return nil, s.finishExternal(pending, t)
	}
	return nil, apdu.SWWrongData
}

// beginExchange draws a block. A witness goes out encrypted and has to come
// back in clear; a challenge goes out in clear and has to come back encrypted.
func (s *selection) beginExchange(kind exchangeKind) ([]byte, error) {
	block, err := s.app.state.management.cipher()
	if err != nil {
		return nil, err
	}
	drawn, encrypted := make([]byte, block.BlockSize()), make([]byte, block.BlockSize())
	if _, err := io.ReadFull(s.app.card.Rand(), drawn); err != nil {
		return nil, err
	}
	block.Encrypt(encrypted, drawn)
	s.exchange = exchange{kind: kind, epoch: s.app.managementEpoch}
	if kind == mutualExchange {
		s.exchange.value = drawn
		return dynamicTemplate(tagWitness, encrypted), nil
	}
	s.exchange.value = encrypted
	return dynamicTemplate(tagChallenge, drawn), nil
}

// answers tells whether got is what the exchange of that kind waits for.
func (s *selection) answers(pending exchange, kind exchangeKind, got []byte) bool {
	return pending.kind == kind && pending.epoch == s.app.managementEpoch &&
		subtle.ConstantTimeCompare(pending.value, got) == 1
}

func (s *selection) finishExternal(pending exchange, t dynamic) error {
	s.setManagement(false)
	if !s.answers(pending, externalExchange, t.response) {
		return apdu.SWSecurityStatus
	}
	s.setManagement(true)
	return nil
}

func (s *selection) finishMutual(pending exchange, t dynamic) ([]byte, error) {
	s.setManagement(false)
	if !s.answers(pending, mutualExchange, t.witness) {
		return nil, apdu.SWSecurityStatus
	}
	answer, err := s.encryptChallenge(t)
	if err != nil {
		return nil, err
	}
	s.setManagement(true)
	return answer, nil
}

func (s *selection) internalAuthenticate(t dynamic) ([]byte, error) {
	if err := s.needManagement(); err != nil {
		return nil, err
	}
	return s.encryptChallenge(t)
}

func (s *selection) encryptChallenge(t dynamic) ([]byte, error) {
	block, err := s.app.state.management.cipher()
	if err != nil {
		return nil, err
	}
	if len(t.challenge) != block.BlockSize() {
		return nil, apdu.SWWrongData
	}
	encrypted := make([]byte, block.BlockSize())
	block.Encrypt(encrypted, t.challenge)
	return dynamicTemplate(tagResponse, encrypted), nil
}
