package gp

import (
	"errors"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/scp03"
)

// session is a security domain as it is selected on one logical channel.
type session struct {
	d *domain
	r *Registry

	offered *scp03.Session // after INITIALIZE UPDATE, for the next command alone
	open    *scp03.Session // after EXTERNAL AUTHENTICATE
	holder  *domain        // whose keys the channel is of
	dek     []byte         // static key DEK of the channel's key set

	listing  listing  // GET STATUS that is not at its end
	target   apdu.AID // of INSTALL [for personalization], empty if none
	stored   []byte   // STORE DATA blocks before the last one
	nextData int      // number of the next STORE DATA block
}

// SecureMessaging is part of [applet.SecureMessenger].
func (s *session) SecureMessaging() {}

// Close is part of [applet.Selection].
func (s *session) Close() {
	s.withdraw()
	s.end()
}

// withdraw forgets a channel that was offered. There is none open beside it.
func (s *session) withdraw() {
	if s.offered != nil {
		s.offered.Wipe()
		s.offered = nil
		s.forgetKeys()
	}
}

// end ends the secure channel and what was begun in it.
func (s *session) end() {
	if s.open != nil {
		s.open.Wipe()
		s.open = nil
	}
	s.forgetKeys()
	s.listing = listing{}
	s.resetStore()
}

func (s *session) forgetKeys() {
	clear(s.dek)
	s.dek, s.holder = nil, nil
}

func (s *session) resetStore() {
	clear(s.stored)
	s.stored, s.target, s.nextData = s.stored[:0], "", 0
}

// Process is part of [applet.Selection].
func (s *session) Process(c apdu.Command) apdu.Response {
	if apdu.Class(c.CLA).SecureMessaging() {
		return s.secured(c)
	}
	s.withdraw()
	if c.INS == apdu.INSGetData {
		return s.getData(c)
	}
	if c.CLA == 0x00 && c.INS == apdu.INSGetChallenge {
		return s.getChallenge(c)
	}
	switch {
	case c.INS == apdu.INSSelect: // what is not SELECT by name, the operating system's
		return apdu.Response{SW: apdu.SWIncorrectP1P2}
	case !known(c.INS):
		return apdu.Response{SW: apdu.SWInstruction}
	case !apdu.Class(c.CLA).Proprietary() && c.INS != apdu.INSExternalAuthenticate:
		return apdu.Response{SW: apdu.SWClass}
	case c.INS == apdu.INSInitializeUpdate:
		return s.initializeUpdate(c)
	}
	return apdu.Response{SW: apdu.SWSecurityStatus}
}

// known tells whether a security domain has the command.
func known(ins byte) bool {
	switch ins {
	case apdu.INSGetData, apdu.INSGetChallenge, apdu.INSInitializeUpdate, apdu.INSExternalAuthenticate,
		apdu.INSPutKey, apdu.INSStoreData, apdu.INSDelete, apdu.INSInstall, apdu.INSLoad,
		apdu.INSSetStatus, apdu.INSGetStatus:
		return true
	}
	return false
}

// secured executes a command with secure messaging. One that is not in order
// ends the secure channel (Amendment D, 5.6).
func (s *session) secured(c apdu.Command) apdu.Response {
	if c.CLA&0x0C != 0x04 {
		return apdu.Response{SW: apdu.SWSecureMessaging}
	}
	if c.INS == apdu.INSExternalAuthenticate {
		return s.externalAuthenticate(c)
	}
	s.withdraw()
	if s.open == nil {
		return apdu.Response{SW: apdu.SWSecurityStatus}
	}
	plain, err := s.open.Unwrap(c)
	if err != nil {
		s.end()
		return apdu.Response{SW: apdu.SWSecurityStatus}
	}
	answer := s.open.Wrap(s.manage(plain))
	if s.r.Terminated() {
		s.end()
	}
	return answer
}

// manage executes a command that came over the secure channel.
func (s *session) manage(c apdu.Command) apdu.Response {
	if c.INS != apdu.INSGetStatus {
		s.listing = listing{}
	}
	if c.INS != apdu.INSStoreData && c.INS != apdu.INSGetData {
		s.resetStore()
	}
	switch c.INS {
	case apdu.INSGetData:
		return s.getData(c)
	case apdu.INSGetChallenge:
		return s.getChallenge(c)
	case apdu.INSGetStatus:
		return s.getStatus(c)
	}
	if c.CLA != 0x80 {
		return apdu.Response{SW: apdu.SWClass}
	}
	data, err := s.perform(c)
	if err != nil {
		return apdu.Response{SW: statusOf(err)}
	}
	return apdu.Response{Data: data, SW: apdu.SWSuccess}
}

// perform executes a command that changes something. Its errors are status
// words.
func (s *session) perform(c apdu.Command) ([]byte, error) {
	if s.r.Locked() && c.INS != apdu.INSSetStatus {
		return nil, apdu.SWConditionsNotSatisfied
	}
	switch c.INS {
	case apdu.INSPutKey:
		return s.putKey(c)
	case apdu.INSStoreData:
		return nil, s.storeData(c)
	case apdu.INSDelete:
		return s.delete(c)
	case apdu.INSInstall:
		return s.install(c)
	case apdu.INSLoad: // no INSTALL [for load] can have come before it
		return nil, apdu.SWConditionsNotSatisfied
	case apdu.INSSetStatus:
		return nil, s.setStatus(c)
	}
	return nil, apdu.SWInstruction
}

// statusOf is the status word of an error.
func statusOf(err error) apdu.SW {
	var sw apdu.SW
	if errors.As(err, &sw) {
		return sw
	}
	return apdu.SWUnknown
}
