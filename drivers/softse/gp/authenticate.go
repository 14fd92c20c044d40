package gp

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/scp03"
)

// The "i" parameter of SCP03 (Amendment D, table 5-1): pseudo-random
// challenge, R-MAC and R-ENCRYPTION. The bit of S16 is version 1.2's.
const (
	scp        = 0x03
	paramS8    = 0x70
	paramS16   = 0x71
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
	if err := s.offer(holder, i, c.Data); err != nil {
		return apdu.Response{SW: statusOf(err)}
	}
	return apdu.Response{Data: s.initialized(holder.sets[i], len(c.Data), s.challenge(holder.sets[i], len(c.Data))), SW: apdu.SWSuccess}
}

// offer begins a channel with key set i of the holder. The sequence counter
// goes up, and is saved, first: no challenge comes twice.
func (s *session) offer(holder *domain, i int, host []byte) error {
	k := holder.sets[i]
	if k.counter >= maxCounter {
		return apdu.SWConditionsNotSatisfied
	}
	k.counter++
	err := s.r.change(func() error {
		holder.sets = holder.with(i, k)
		return nil
	})
	if err != nil {
		return err
	}
	offered, err := scp03.Begin(scp03.Keys{ENC: k.keys[0], MAC: k.keys[1]}, host, s.challenge(k, len(host)))
	if err != nil {
		return err
	}
	s.offered, s.holder, s.dek = offered, holder, bytes.Clone(k.keys[2])
	return nil
}

// challenge is the card challenge of n bytes.
func (s *session) challenge(k keySet, n int) []byte {
	// The keys of a set have an AES key's size, so there is no error.
	b, _ := scp03.CardChallenge(k.keys[0], k.sequence(), []byte(s.d.aid), n)
	return b
}

// initialized is the answer to INITIALIZE UPDATE (Amendment D, table 7-3).
func (s *session) initialized(k keySet, mode int, challenge []byte) []byte {
	b := make([]byte, diversify, diversify+3+2*mode+3)
	copy(b[diversify-len(s.r.serial):], s.r.serial[:])
	param := byte(paramS8)
	if mode == 16 {
		param = paramS16
	}
	b = append(b, k.version, scp, param)
	b = append(b, challenge...)
	b = append(b, s.offered.CardCryptogram()...)
	seq := k.sequence()
	return append(b, seq[:]...)
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
