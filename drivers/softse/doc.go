// Package softse is the software secure element: a card in a program, which
// implements [drivers.SE] and which terminals take for a chip. This package
// is its operating system: logical channels, selection, command chaining, GET
// RESPONSE. The registry and the security domains are package gp, the secure
// channel is package scp03, applications are folders beside them that fulfil
// the contract of package applet.
//
//	card, err := softse.New(softse.Opts{Name: "soft1", Store: store, Packages: pkgs})
//	atr, err := card.PowerOn(ctx)
//	answer, err := card.Transmit(ctx, command)
//
// # Protocol
//
// A card has four logical channels, short and extended APDUs and command
// chaining of up to [MaxChain] bytes. Response data that are longer than Ne
// are cut: the answer has the first Ne bytes and 61XX, GET RESPONSE fetches
// the rest (ISO/IEC 7816-4, 5.3.4). A command without Le field is answered as
// if it had Le 00, which is what most cards on T=1 do. With [Opts.T0] the card
// behaves as one on T=0: see there. A channel whose application has been
// locked or deleted, and the basic channel of a card that cannot select its
// default application, have nothing selected: such a channel answers 6985
// until SELECT.
//
// # Time
//
// Commands run inside Transmit. Two kinds can take long. Key pair generation
// (INS 46 and 47; RSA 4096 takes up to a minute on a small board) runs in a
// goroutine that the card owns, and asks for more time ([drivers.Busy]) as a chip
// does. When the context is done Transmit returns, and the next call waits, within
// its own context, until the generation ends, since Go cannot interrupt one. Such
// a command, and one whose card is powered off, changes nothing: the old key is
// replaced in one step, when the new one is complete and somebody still waits for
// the answer. Where the context ends within that step, Transmit returns the answer.
// An answer that is lost on its way to a client behind this point leaves the new
// key, whose public key can be read (GET METADATA, or INS 47 with P1 81). PowerOff
// does not wait; the channels are then closed as soon as the generation ends.
// [Card.Close] waits. EXTERNAL AUTHENTICATE after failed ones is answered
// late (package gp); the wait comes before the command is executed, and a
// context that ends it leaves the command undone.
//
// # Secrets
//
// Session keys, chained commands, waiting responses and the state handed to
// [Store] are wiped when they are done with, or at power off at the latest.
// Not wiped are: key schedules inside Go's crypto packages and their copies of
// keys, copies that the garbage collector or a growing stack leave behind, and
// pages that the system has swapped out. The keys of security domains and of
// applications stay in memory as long as the [Card] is open, powered or not,
// as a chip's stay in its flash; [Card.Close], and DELETE, wipe those of the
// domains and of applications that can forget them (applet.Wiper).
package softse
