// Package openpgp is the OpenPGP card application of the software SE (Functional
// Specification of the OpenPGP application on ISO Smart Card Operating Systems,
// version 3.4.1; clauses named here are its own), which gpg uses by scdaemon.
//
// A new instance has the PW1 123456 and the PW3 12345678, three tries each, no
// resetting code, no keys, and the algorithm attributes of RSA 2048. A key can
// be RSA of 2,048, 3,072 or 4,096 bits; ECDSA and ECDH on P-256, P-384 and
// P-521; Ed25519 and X25519. DO FA lists them.
//
// What is beyond the specification: GET VERSION (F1) and SET PIN RETRIES (F2)
// as the YubiKey has them, and the values of cached touch policies.
//
// What is not as on a card with a button and a reader:
//
//   - DO D6 to D8 (user interaction; D9 is an extension's) are kept and told, and
//     not enforced: there is nothing to touch. DO 7F74 does not claim a button.
//   - Secure messaging (D1, D2, F4) and PIN block format 2 are absent, and C0
//     says so. GET DATA with INS CB is.
//   - A wrong password is answered 63CX, as ISO/IEC 7816-4 has it, where the
//     specification leaves 6982 and 63CX.
//
// # Reset
//
// TERMINATE DF is for who has shown PW3, and for everybody when PW1 and PW3 are
// blocked; it wipes keys, passwords and objects at once. ACTIVATE FILE makes the
// application usable again. In between, and after a power cut in between, SELECT
// answers 6285 and every other command, too. As with the reset of the PIV
// application, the card's holder needs no more than to be let to the SE: what a
// credential may send to which application is for package access to decide.
//
// # Key derivation
//
// DO F9 tells terminals to hash passwords, and the hashes are what the card
// compares. Writing it sets PW1 and PW3 to the initial values in it (87 and 88),
// or to the well-known ones where it says that nothing is hashed, and removes
// the resetting code: what the card has would open it no more.
//
// # Secrets
//
// Passwords are compared in constant time, whatever their lengths. A retry
// counter is lowered and committed before the comparison that it guards, and
// raised again only by a commit after it, so a power cut never gives a try back.
// The signature counter is committed before the signature leaves.
//
// RSA goes by crypto/rsa's own padding, in constant time. What a new value, a
// reset or [applet.Wiper] gives up is wiped where Go lets it be: passwords, the
// AES key and Ed25519 keys; the numbers inside of crypto/rsa, crypto/ecdsa and
// crypto/ecdh cannot.
package openpgp
