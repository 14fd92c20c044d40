// Package piv is the PIV card application (NIST SP 800-73-4) of the software
// SE, with the extensions that the tools of the field expect: version, serial
// number, import, attestation, metadata, retry setting, reset, move and delete
// of keys, RSA 3072 and 4096, Ed25519 and X25519, AES management keys. They
// are the commands and numbers of the YubiKey's PIV application 5.7, which is
// therefore the version that GET VERSION tells.
//
// A new instance has the PIN 123456, the PUK 12345678, three tries each, and
// the 3DES management key 0102030405060708 three times over. That key and its
// algorithm are what the tools in use try first; newer firmware of other cards
// starts with AES-192 and the same bytes, which older tools cannot answer.
// SET MANAGEMENT KEY changes both.
//
// What is not as on a card with a button and a chip:
//
//   - Touch policies are kept, told by GET METADATA and attested, and not
//     enforced: there is nothing to touch.
//   - RSA of 1,024 bits is refused. Global PIN, pairing code, biometrics and
//     secure messaging of SP 800-73-4 are absent; what asks for them gets the
//     status that the standard has for it.
//   - A PIN may have any bytes but FF, not digits alone.
//   - Attestation chains to a key that the instance made for itself. It says
//     that the key was made in this SE and never left it, not who made the SE.
//
// # Secrets
//
// PINs and management keys are compared in constant time. A retry counter is
// lowered and committed before the comparison that it guards, and raised again
// only by a commit after it, so a power cut never gives a try back.
//
// RSA works on whole blocks that the caller has padded, which crypto/rsa does
// not offer. Blocks padded as PKCS #1 v1.5 signatures take its constant-time
// path; every other one takes math/big, which is not constant time, with the
// base and both exponents blinded and the result checked with the public
// exponent before it leaves (see rsaPrivate).
//
// Keys and ECDSA's nonces come from the source that Go's crypto packages use
// by themselves; witnesses, challenges, serial numbers of certificates and the
// blinding come from the card's.
//
// Secrets held as bytes are wiped when they are replaced or the selection
// ends. The keys inside crypto/rsa, crypto/ecdsa and crypto/ecdh, their
// precomputed values and what the garbage collector has moved or not yet
// reused cannot be wiped from Go.
package piv
