// Package gp is the GlobalPlatform part of the software SE (Card
// Specification 2.3.1): the [Registry] of load files and applications with
// their life cycles, and the security domains that manage it over SCP03.
//
// # What there is
//
// The issuer security domain has the AID A000000151000000. Supplementary
// security domains are instances of module A000000151535041 in the built-in
// package A0000001515350; one without keys of its own takes those of the
// domain above it. Every domain knows the commands INITIALIZE UPDATE, EXTERNAL
// AUTHENTICATE, GET DATA, GET CHALLENGE, GET STATUS, SET STATUS, INSTALL,
// DELETE, PUT KEY and STORE DATA. A domain manages what is associated with it,
// directly or through domains below it; a supplementary one may install and
// delete only with the privilege Authorized Management. Tokens and receipts
// are not used.
//
// There is no code but what is built in: INSTALL [for load] is answered 6A81
// and LOAD 6985. Load files lie in immutable memory. DELETE of one with
// related objects deletes all of its instances; the load file itself stays, so
// that instances can be made again.
//
// # Keys
//
// A fresh card is in the state OP_READY and has the key set FF, the factory's,
// with the well known test keys 40 41 .. 4F (AES-128), three times the same:
// whoever can reach it can manage it. PUT KEY of a new set (P1 00) replaces
// it; INITIALIZED and SECURED are then reached by SET STATUS. Other key sets
// have versions 01 to 7F. A set is three AES keys of one size with identifiers
// 1 (ENC), 2 (MAC), 3 (DEK). Cards of earlier versions of this package have
// their test keys as set 30, which PUT KEY replaces with P1 30. A
// locked card (CARD_LOCKED) has its issuer security domain alone, and that can
// only be asked and SET STATUS. A terminated one answers GET DATA for ever: a
// fresh card takes a fresh store.
//
// # Failed authentications
//
// Each EXTERNAL AUTHENTICATE is counted, and the count saved, before the host
// cryptogram is compared; one that succeeds sets the count back. From the
// fourth after three failures on, the card waits before it executes the
// command: 250 ms, then twice as long each time, up to 8 s. The count outlives
// a power cycle, so the wait does too, and guessing runs at no more than
// eleven thousand tries a day. Nobody is locked out: the keys' owner waits 8 s
// once.
//
// # State
//
// All that lasts is one state of at most [MaxState] bytes, given to
// Config.Save as a whole. A command that changes something has changed it when
// Save returns; where Save fails, the change is taken back and the answer is
// 6581.
package gp
