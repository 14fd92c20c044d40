package gp

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/scp03"
)

// The "i" parameter of SCP03 (Amendment D, table 5-1): R-MAC and R-ENCRYPTION,
// and the bits for a pseudo-random challenge and, of version 1.2, for S16.
const (
	scp         = 0x03
	paramBase   = 0x60
	paramPseudo = 0x10
	paramS16    = 0x01

	diversify  = 10 // bytes of key diversification data
	freeTries  = 3
	firstDelay = 250 * time.Millisecond
	maxDelay   = 8 * time.Second
)

// Delay is how long the operating system waits before it executes a command:
// see the package comment on failed authentications.
func (s *session) Delay(c apdu.Command) time.Duration {
	if c.INS != apdu.INSExternalAuthenticate || s.offered == nil {
		return 0
	}
	return delay(s.holder.fails)
}

func delay(fails uint32) time.Duration {
	if fails < freeTries {
		return 0
	}
	return min(firstDelay<<min(fails-freeTries, 8), maxDelay)
}

// initializeUpdate is INITIALIZE UPDATE (Amendment D, 7.1.1). The length of
// the host challenge chooses S8 or S16.
func (s *session) initializeUpdate(c apdu.Command) apdu.Response {
	s.end()
	switch n := len(c.Data); {
	case s.r.Terminated():
		return apdu.Response{SW: apdu.SWConditionsNotSatisfied}
	case c.P2 != 0:
		return apdu.Response{SW: apdu.SWIncorrectP1P2}
	case n != 8 && n != 16:
		return apdu.Response{SW: apdu.SWWrongLength}
	}
	holder := s.d.keyHolder()
	i := holder.set(c.P1)
	if i < 0 {
		return apdu.Response{SW: apdu.SWReferencedDataNotFound}
	}
	k, err := s.count(holder, i)
	if err != nil {
		return apdu.Response{SW: statusOf(err)}
	}
	answer, err := s.offer(holder, k, c.Data)
	if err != nil {
		return apdu.Response{SW: statusOf(err)}
	}
	return apdu.Response{Data: answer, SW: apdu.SWSuccess}
}

// count makes the sequence counter of the holder's key set i go up, so that
// no challenge comes twice. Where no value is reserved any more, more are, and
// that is saved first. At its end the counter stays.
func (s *session) count(holder *domain, i int) (keySet, error) {
	k := holder.sets[i]
	if k.counter == maxCounter {
		return k, nil
	}
	if k.counter == k.reserved {
		k.reserved = min(k.reserved+reserve, maxCounter)
		if err := s.r.change(func() error { holder.sets = holder.with(i, k); return nil }); err != nil {
			return k, err
		}
	}
	k.counter++
	holder.sets = holder.with(i, k)
	return k, nil
}

// offer begins a channel and makes the answer to INITIALIZE UPDATE (Amendment
// D, table 7-3). A key set whose counter is at its end gets random challenges,
// with the "i" parameter of those, rather than becoming useless: anybody can
// make the counter go up.
func (s *session) offer(holder *domain, k keySet, host []byte) ([]byte, error) {
	n, seq, param := len(host), k.sequence(), byte(paramBase)
	challenge := make([]byte, n)
	var err error
	if k.counter < maxCounter {
		param |= paramPseudo
		challenge, err = scp03.CardChallenge(k.keys[0], seq, []byte(s.d.aid), n)
	} else {
		_, err = io.ReadFull(s.r.cfg.Rand, challenge)
	}
	if err != nil {
		return nil, apdu.SWExecutionError
	}
	if n == 16 {
		param |= paramS16
	}
	offered, err := scp03.Begin(scp03.Keys{ENC: k.keys[0], MAC: k.keys[1]}, host, challenge)
	if err != nil {
		return nil, err
	}
	s.offered, s.holder, s.dek = offered, holder, bytes.Clone(k.keys[2])
	b := make([]byte, diversify, diversify+3+2*n+3)
	copy(b[diversify-len(s.r.serial):], s.r.serial[:])
	b = append(b, k.version, scp, param)
	b = append(b, challenge...)
	b = append(b, offered.CardCryptogram()...)
	if param&paramPseudo != 0 {
		b = append(b, seq[:]...)
	}
	return b, nil
}

// externalAuthenticate is EXTERNAL AUTHENTICATE (Amendment D, 7.1.2).
func (s *session) externalAuthenticate(c apdu.Command) apdu.Response {
	offered, holder := s.offered, s.holder
	s.offered = nil
	if offered == nil {
		return apdu.Response{SW: apdu.SWConditionsNotSatisfied}
	}
	sw := s.authenticate(offered, holder, c)
	if sw != apdu.SWSuccess {
		offered.Wipe()
		s.end()
		return apdu.Response{SW: sw}
	}
	s.open = offered
	return apdu.Response{SW: sw}
}

// authenticate counts the try, verifies the command, and forgets the count
// where it is right. A command that cannot be judged is no try.
func (s *session) authenticate(offered *scp03.Session, holder *domain, c apdu.Command) apdu.SW {
	switch {
	case c.P2 != 0:
		return apdu.SWIncorrectP1P2
	case !offered.WellFormed(c):
		return apdu.SWWrongData
	}
	before := holder.fails
	if err := s.r.change(func() error { holder.fails = min(before, 1<<30) + 1; return nil }); err != nil {
		return statusOf(err)
	}
	switch err := offered.Authenticate(c); {
	case errors.Is(err, scp03.ErrCryptogram):
		return apdu.SWVerifyFailed
	case err != nil:
		return apdu.SWSecurityStatus
	}
	if err := s.r.change(func() error { holder.fails = 0; return nil }); err != nil {
		return statusOf(err)
	}
	return apdu.SWSuccess
}

// maxChallenge bounds GET CHALLENGE; without Le or with Le 00 it gives 8 bytes.
const maxChallenge = 256

func (s *session) getChallenge(c apdu.Command) apdu.Response {
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return apdu.Response{SW: apdu.SWIncorrectP1P2}
	case len(c.Data) > 0 || c.Ne > maxChallenge:
		return apdu.Response{SW: apdu.SWWrongLength}
	case s.r.Terminated():
		return apdu.Response{SW: apdu.SWConditionsNotSatisfied}
	}
	n := c.Ne
	if n == 0 || n == maxChallenge {
		n = 8
	}
	b := make([]byte, n, n+2)
	if _, err := io.ReadFull(s.r.cfg.Rand, b); err != nil {
		// The source of random numbers is broken: there is no better word
		// for it than a failure of the card.
		return apdu.Response{SW: apdu.SWExecutionError}
	}
	return apdu.Response{Data: b, SW: apdu.SWSuccess}
}
