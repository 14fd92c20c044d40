// Package update is the form in which a new system reaches a TSES that runs
// from an SD card, and what the two sides of its way say to each other.
//
// # The bundle
//
// A bundle is a header that the box's owner has signed, and behind it the root
// file system and, where the header says so, the boot partition:
//
//	bytes  what
//	20     "TSES update bundle 1", without an end of line
//	4      n, the length of the header, big-endian, at most [MaxHeader]
//	n      the header: a JSON object, see [Header]
//	2      m, the length of the signature, big-endian, at most [MaxSignature]
//	m      ECDSA over P-256 with SHA-256, in DER (RFC 3279, 2.2.3), by the key of
//	       the owner's CA, of everything that stands before n's end
//	...    the root file system, as long as the header says
//	...    the boot partition, if the header has one, as long as it says
//
// What is signed begins with words that begin no certificate (which is a DER
// SEQUENCE), so that no signature of the CA is good for the other use.
//
// The first process of a box starts no bundle that its owner has not signed, for
// that box, and none that is older than what runs, see [Header.CheckFor]. Where an
// owner means it, they sign a bundle that they have kept once more ([Permit]): it
// then says what it may replace. That holds as long as nothing newer runs; a
// build of its own ends it.
//
// A root file system holds the identity of one box, so a bundle is for one box
// alone, and to be kept as secret as its SD card.
//
// # The protocol
//
// It is spoken inside the same mutually authenticated TLS as RACS, on the same
// port; the client asks for it by ALPN ([Protocol]). Package update/client
// speaks the one side, package update/server the other.
package update
