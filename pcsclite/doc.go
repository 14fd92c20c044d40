// Package pcsclite speaks the protocol between libpcsclite and pcscd, the
// resource manager of PC/SC on Unix: a stream of fixed records on a local
// socket. It has both sides and neither needs C or root.
//
// The [Server] stands where pcscd stands. Programs find it through the
// environment variable PCSCLITE_CSOCK_NAME ([Server.Path]) and see the readers
// that its owner plugs in:
//
//	s, err := pcsclite.Listen(pcsclite.Options{})
//	r, err := s.Plug("reader one", card) // card is a [Card]: four calls
//	err = r.Insert(atr)
//	err = s.Serve(ctx) // until ctx is done
//
// A card is powered on when the first program connects and powered off when
// the last one goes, however it goes: between two programs the card keeps no
// security state and others may have it.
//
// The [Client] talks to pcscd or to a [Server]; the driver of a host's readers,
// package drivers/pcsc, is made of it.
//
// # Versions
//
// Protocol 4:4 is pcsc-lite 1.8.24 to 2.2, 4:5 is 2.3 and later, 4:6 what is
// being made after 2.4. The server speaks all of them and proposes 4:6 to
// everyone else. The client asks for 4:5, which pcscd of 4:6 takes too, and then
// for 4:4.
//
// Numbers are in the byte order of the machine, names are bytes up to the
// first NUL. All records begin at what libpcsclite's header winscard_msg.h
// calls their structs; [Code] is a LONG of PC/SC cut to 32 bits.
package pcsclite
