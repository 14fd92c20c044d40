// Package vault keeps the state of a software SE in one sealed file, so that
// a power cut at any instruction leaves the old state or the new one, and a
// state that was acknowledged never gives way to an older one.
//
// # Files
//
// A directory (mode 0700) holds for every SE SEID.state, the sealed state, and
// SEID.state.lock, which one process at a time holds; and for all of them ledger,
// which remembers the last generation of each SE, and ledger.lock. A name that
// ends in .tmp is a write that was cut off; the next write replaces it. Files
// have mode 0600. The key is no part of the directory's files: [LoadKey] keeps
// it in a file of its own, and [Key] is an interface so that hardware can hold
// it instead.
//
// # Sealing
//
// SEID.state is XChaCha20-Poly1305 under a key that the state's key yields for
// this purpose and this SEID alone (HKDF-SHA-256, RFC 5869). Its 24-byte nonce
// is random for every write, which needs no counter and no bound on the number
// of writes, and the cipher is fast on boards without AES instructions. The
// header is in clear and authenticated: format version, SEID, generation, and
// the tag of the generation before, so that the states of an SE form a chain.
// The ledger is not secret; it is authenticated with HMAC-SHA-256.
//
// # Order of writes
//
// Save makes three requests to the disk, and each waits for the one before:
//
//  1. the new state in SEID.state.tmp, fsync: what is about to get the name
//     is complete;
//  2. rename to SEID.state, fsync of the directory: from here on no crash
//     brings the old state back;
//  3. the new generation and tag in the SE's page of the ledger, fdatasync.
//
// Only then is the Save acknowledged. Fewer will not do: without 1 the name
// may come to hold half a file, without 2 the old state may come back after
// the acknowledgement, and without 3 an old file put back could not be told.
// The ledger is written in place, its pages preallocated, because that spares
// the fourth request (and a journal entry) that another rename would need.
// Each SE has two pages that take turns, so that a page torn by the cut leaves
// the one before.
//
// A cut between 2 and 3 leaves a file exactly one generation ahead of the
// ledger that names the ledger's tag as its predecessor: [Open] takes it and
// brings the ledger up. Everything else is no cut: a file behind the ledger or
// off its chain is [ErrRollback], a file gone that the ledger knows is
// [ErrMissing], another SE's file is [ErrSwapped], a ledger that is gone,
// changed, or older than the files is [ErrLedger]. None of them is ever passed
// over in silence; [Accept] and [Forget] are for the operator to decide.
//
// A Save that fails leaves the old state or the new one on the disk. The File
// stays of use: its next Load or Save first does what Open does, and so finds
// out which.
//
// # What it does not do
//
// Who puts the whole directory back, ledger included, is not detected: that
// needs a counter that the disk does not hold. A disk that acknowledges a
// flush and loses it breaks every promise here.
//
// Go wipes what this package can reach: state in clear that it decrypted only
// to check it, derived keys, and [SecretKey.Wipe]. What it cannot reach are
// the ciphers' own copies of their keys (until the collector reuses the
// memory), registers and stacks, and pages that the system swaps out. The
// state that Load returns is the caller's to wipe.
package vault
