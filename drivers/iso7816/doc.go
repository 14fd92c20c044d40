// Package iso7816 drives cards of ISO/IEC 7816-3 that hang on a UART: a SIM or
// a bank card on the pins of a board, or behind a Phoenix or Smartmouse adapter
// on a USB-serial converter. [Dev] implements [drivers.SE].
//
//	uart, err := iso7816.OpenTTY("/dev/ttyAMA0")
//	contacts := &iso7816.PinContacts{RST: rst, VCC: vcc}
//	clock, err := iso7816.OpenGPCLK(iso7816.BCM2711, 4, 4500*physic.KiloHertz)
//	card, err := iso7816.New(uart, contacts, clock, nil)
//	atr, err := card.PowerOn(ctx)
//
// A card needs three things, each behind a small interface so that boards,
// adapters and tests can bring their own: a [UART] for contact C7 (I/O),
// [Contacts] for C1 and C2 (VCC, RST), and a [Clock] for C3.
//
// # Activation and rates
//
// PowerOn follows ISO/IEC 7816-3, 6.2: RST low, VCC, I/O, CLK, RST high, and
// PowerOff 6.4: RST low, CLK low, I/O low, VCC off. The answer to reset is taken
// in both conventions. PPS (clause 9) asks for the fastest rate that card,
// clock and UART can do and for the protocol, T=1 where it is offered. A card
// that refuses is spoken to with the default values; one that falls silent on
// PPS is reset and spoken to without. One that confirms a PPS for T=1 and does
// not speak it gets its last attempt without, in the protocol that it offers
// first, and is spoken to so from then on.
//
// # APDUs on T=0
//
// A short command APDU is one TPDU (ISO/IEC 7816-3, 12.2.2 to 12.2.5), and what
// the card says is the answer, 61XX and 6CXX too: the contract of package
// drivers leaves GET RESPONSE to those above. Case 4 goes without its Le field.
//
// T=0 has no extended length fields. An extended command APDU is carried by
// ENVELOPE where it has more than 255 data bytes; 61XX is followed by GET
// RESPONSE up to Ne bytes, and 6CXX by the same TPDU with the right length
// (12.2.6 and 12.2.7), since nobody above could see the TPDUs.
//
// INS bytes 6X and 9X cannot be told from status words and are refused.
//
// # What a UART cannot do
//
// It cannot pull I/O low to ask for a character again. A character that comes
// with wrong parity on T=0 ends the command with an error. The card's own error
// signal is seen as a character that nobody sent. It ends the command too,
// because later characters of the same burst are out already and the card takes
// the next one for the repetition. Opts.Repeat sends one at a time instead.
//
// T=0 has no check but the parity bit. The driver listens for one character
// more after every answer, which finds characters that were lost or invented;
// two bits inverted in one character, and in inverse convention a short low that
// looks like a character 00, can go unseen. T=1 is the better choice on a line
// with noise.
//
// After an error on T=0 nothing tells what belongs to which command: until a
// reset or a power on Transmit fails with [drivers.ErrMute].
package iso7816
