// Package apdu holds the words that everyone who speaks to a secure element
// shares: command and response APDUs, status words, BER-TLV data objects,
// application identifiers and the answer to reset.
//
// A command APDU is parsed strictly (ISO/IEC 7816-4, 5.1): what comes out of
// [Parse] is one of the four cases, short or extended, to the last byte, and
// [Command.Append] gives the same bytes back. Nothing here talks to a chip.
//
//	cmd, err := apdu.Parse(wire)          // 00A4040007A0000000041010
//	if cmd.INS == apdu.INSSelect { ... }
//	resp, err := apdu.ParseResponse(answer)
//	if resp.SW != apdu.SWSuccess { return resp.SW }
package apdu
