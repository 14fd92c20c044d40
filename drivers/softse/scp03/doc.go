// Package scp03 is the card's side of Secure Channel Protocol 03
// (GlobalPlatform Card Specification 2.3, Amendment D, versions 1.1.2 and,
// for S16, 1.2): the derivation of session keys, the cryptograms, and the
// protection of commands and responses. It knows keys and bytes; which keys
// there are, and what an authenticated user may do, is package gp's.
//
// A [Session] comes out of INITIALIZE UPDATE, is opened by EXTERNAL
// AUTHENTICATE and ends with the first command that fails:
//
//	s, err := scp03.Begin(keys, host, card)   // host and card challenge, 8 or 16 bytes
//	s.CardCryptogram()                        // for the answer to INITIALIZE UPDATE
//	err = s.Authenticate(command)             // EXTERNAL AUTHENTICATE
//	plain, err := s.Unwrap(command)           // every command after it
//	answer := s.Wrap(response)
package scp03
