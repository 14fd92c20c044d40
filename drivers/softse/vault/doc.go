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
// # Format
//
// All numbers are big endian. A key of its own comes, for each purpose, from the
// 32 bytes of the key's file by HKDF-SHA-256 with an empty salt and an info of
// "tses ", the purpose, a zero byte and the SEID: "tses softse state\x00soft1"
// seals the states of soft1, "tses softse ledger\x00", without a SEID,
// authenticates the ledger.
//
// SEID.state is a header of 122 bytes, the ciphertext, which is as long as the
// state, and the tag of 16 bytes. The header is the additional data:
//
//	 0   8  "TSES-SE\x00"
//	 8   1  format version, 1
//	 9   1  length of the SEID, 1 to 64
//	10  64  SEID, zeros after it
//	74   8  generation, one more than the state's before
//	82  16  tag of the state before; of the ledger, for the first
//	98  24  nonce of XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03)
//
// The ledger is whole pages of 4096 bytes: its header, then two for each SE in the
// header's order. The last 32 bytes of the header, and of each of the other pages,
// are HMAC-SHA-256 over the SEID (none for the header), a zero byte, and all bytes
// before these 32, zeros included.
//
//	header  0   8  "TSES-LG\x01"
//	        8   2  pages of the header
//	       10   2  number of SEs, at most 1024
//	       12      for each the length of its SEID, 1, and the SEID
//	page    0   8  generation that was acknowledged last
//	        8  16  its tag, or random bytes where there is no state
//	       24   1  1 if no state is to be there, else 0
//
// Of an SE's two pages the one with the higher generation counts; they are one
// apart, or the same. If the HMAC of one of them does not hold, the other counts,
// and the file must be the successor of what it says: its generation is one higher,
// and the tag before is that of the page. The same holds for a file that is ahead
// of both. Otherwise generation and tag of the file are those of the page.
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
