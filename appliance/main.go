// Command appliance is the TSES: a server of secure elements.
//
//	appliance [-config FILE] [-state DIR] [-listen ADDR] [-confine USER]
//
// makes its state on the first run (a CA, a server certificate, the credentials
// of an administrator and of a user), powers up its elements' drivers, serves
// RACS and says how to connect. Without a configuration it hosts two software
// SEs, soft1 and soft2, and listens on 127.0.0.1:7777. SIGINT and SIGTERM end it
// in good order: running commands finish, SEs are powered off, clients get
// close_notify. A second signal ends it at once.
//
//	appliance -check -config FILE
//
// says what is wrong with a configuration, or nothing, and ends. It refuses what
// cannot serve: an address without a port, names that no certificate can have,
// trust files that are not there, rules that see nothing. appliance -version
// says which version it is, as the first line of the log does.
//
//	appliance -box DIR -state DIR
//
// is how the SD card starts it: the identity and the owner's trust, and
// config.toml if there is one, are those that the card brings in DIR. It has no
// CA of its own then and issues no credentials, see [access.Box]; without an
// address in the configuration it listens on 0.0.0.0:7777.
//
// There it also has a pipe to its supervisor for a byte each time that it has found
// itself to serve.
//
// With -confine, on a card or on any Linux host (amd64 and arm64; elsewhere it is
// an error), a TSES gives up what its configuration does not need before anybody
// can speak to it: root and all capabilities (but to bind a port below 1024), files
// other than its state, configuration, certificates, devices, /proc and /sys, all
// TCP ports but its own, all sockets but TCP's and pcscd's, all programs, and of
// some 390 system calls about 260. The log says what the kernel could not do.
//
//	appliance -confine self         # stay who one is: systemd or a person has chosen
//	appliance -confine tses         # from root to a user of the host, in their groups
//	appliance -confine 7777         # from root to this user and group, as on a card
//
// It wants listen to have an address and a port, not a name. The state directory is
// made for the user; one that is there has to be theirs. packaging/systemd has a
// unit that starts it so.
//
//	appliance credential issue NAME -plane user|administrator|user,administrator [-se GLOB]... [-days N] -out FILE [-ca-key FILE]
//	appliance credential revoke NAME|SERIAL
//	appliance credential revoke SERIAL -issuer FILE|KEY
//	appliance credential list
//
// work on the state directory of a TSES that runs, or that does not. A
// revocation ends the credential's sessions within a second. The last but one is
// for a certificate of another CA, a user's or that of a CA below it, whose
// sessions end too: FILE holds the certificate of the CA that has signed it, KEY
// is the SHA-256 of that CA's public key in hex. Without -issuer a serial number
// that was not issued here is revoked whatever CA it is of.
//
// The CA's key, ca.key in the state directory, signs credentials and the server's
// certificate, and nothing else needs it. Keep it elsewhere once the TSES has
// started: -ca-key FILE says where it is when a credential is issued. The server
// then cannot renew its certificate, which is valid for two years; it says until
// when, once a day from 30 days before on as a warning, and
//
//	appliance certificate renew [-ca-key FILE] [-names NAME,...]
//
// makes another one for the names that the old one has, and more. It works on the
// state directory, whose server takes the new one within seconds, or on a copy of
// ca.pem and server.pem where the key is: bring server.pem back, with mode 0600.
//
//	appliance element accept SEID
//	appliance element forget SEID
//
// decide about a software SE whose state was found to be an older one, or
// gone: take it as it is, or begin a new one.
//
//	appliance [-config FILE] element list
//	appliance element rename SEID NEW
//
// show the SEs with their states, and those states that no element of the
// configuration has; and give the state of an SE to its new SEID, which must have
// none: forget that one first if the TSES has made it meanwhile. The TSES is to be
// stopped for all but list.
//
//	appliance boards [CARRIER] [-board NAME]
//
// shows the Raspberry Pis and the ready-made wirings that are known, or the pins of
// one with the lines for the configuration.
//
// # Configuration
//
// A TOML file. Every key is optional; one that is not known is an error.
//
//	listen = "0.0.0.0:7777"         # default 127.0.0.1:7777
//	names  = ["tses.lab.example"]   # further names in the server's certificate
//	accept_lost_state = "2026-…"    # the loss of its state that a box's owner accepts; the log tells the time
//
//	[tls]
//	min_version = "1.2"             # default "1.3"; "1.2" admits old RACS clients
//
//	[timeouts]                      # the defaults
//	handshake = "10s"
//	idle      = "10m"               # between two lines of a client
//	apdu      = "30s"               # one command on an SE
//	write     = "30s"               # for a client to take an answer
//	drain     = "30s"               # for running commands at shutdown
//
//	[limits]                        # the defaults; less where the machine has less
//	sessions            = 16384     # at one time
//	buffer_bytes        = 8388608   # that all sessions buffer beyond 16 KiB each
//	credential_sessions = 64        # of one credential
//	credential_bytes    = 2097152   # that its sessions buffer beyond 16 KiB each
//	credential_elements = 256       # SEs that its sessions have powered on
//	unauthenticated     = 4096      # connections that have shown no credential
//	handshakes          = 3072      # of them that are worked on
//	handshake_bytes     = 16384     # that one may send until its handshake has ended
//
//	[[access.trust]]                # CAs besides the TSES's own, and what they can give at most
//	file   = "partner-ca.pem"       # one or more in PEM; relative to this file
//	planes = ["user"]               # default the user plane alone
//	se     = ["sim*"]               # default all
//
//	[[access.rule]]                 # narrows what a credential may see and do
//	name   = "bob"                  # and, or instead, serial = "4f…", issuer = "partner-ca.pem", others = true
//	se     = ["soft1", "sim*"]
//	planes = ["user"]               # gives them to a certificate that names none
//
//	[network]                       # of an SD card; elsewhere checked, and not used
//	interface = "eth0"              # default the first Ethernet interface
//	address   = "192.168.1.20/24"   # default "dhcp"
//	gateway   = "192.168.1.1"       # with an address
//	dns       = ["192.168.1.1"]
//	ntp       = ["192.168.1.2"]     # vouches for the time; default four public servers and
//	                                # those that DHCP tells, two of which have to agree; [] is DHCP's alone
//
//	[network.wifi]                  # in the place of Ethernet: WPA2 with AES
//	ssid       = "lab"
//	passphrase = "correct horse"    # or psk = "64 digits of hex", or open = true
//	country    = "DE"               # default the rules that hold in all countries
//
//	[pcsc]
//	readers = true                  # default false: serve every card in a reader of this host
//
//	[[element]]                     # one or more replace soft1 and soft2
//	seid    = "soft1"
//	driver  = "softse"
//	aliases = ["token"]
//
//	[[element]]                     # a card in a reader of this host
//	seid    = "sim1"
//	driver  = "pcsc"
//	reader  = "ACS ACR39U*"         # reader, atr or both, globs with * and ?
//	atr     = "3B9F96*"             # the card's answer to reset in hex
//
//	[[element]]                     # a chip on this machine's pins
//	seid    = "se1"
//	driver  = "i2c"                 # or "spi", "iso7816"
//	carrier = "se050-arduino"       # a ready-made wiring; each key replaces a part of it
//	bus     = "i2c1"                # "spi0", "uart0"; or device = "/dev/ttyUSB0"
//	address = 0x48                  # spi: chip_select
//	clock   = "400 kHz"
//	reset   = "GPIO22 active low"   # or "pin15", "RTS", "none"
//	share   = true                  # default false: see below
//
//	[[element]]                     # a card on a serial adapter
//	seid    = "sim2"
//	driver  = "iso7816"
//	carrier = "phoenix"
//	device  = "/dev/ttyUSB0"
//	any_tck = true                  # default false: refuse an answer to reset whose check byte (TCK) is wrong or missing
//
// # Further CAs and rules
//
// What a credential has is what its certificate names, within what the
// [[access.trust]] of the CA gives that its chain ends in, within what the rules
// that speak of it give. A rule speaks of those who have all that it names: a name
// or a serial number, and an issuer, by the file of a CA that their chain goes
// through or by the SHA-256 of its public key in hex. A name without an issuer is
// any CA's: name the issuer where there are several. Rules with others = true speak
// of those that no other rule speaks of. Several rules that speak of one credential
// add up; se or planes that none of them has narrows nothing.
//
// A certificate that names no plane, such as those of other RACS servers' users,
// gets in by a rule alone:
//
//	[[access.trust]]
//	file = "root.pem"
//
//	[[access.rule]]
//	issuer = "root.pem"
//	name   = "client"
//	planes = ["user"]
//	se     = ["soft1"]
//
// Rules and tables that can give nobody anything are refused. Package access has
// what certificates have to be like.
//
// # Limits
//
// Nobody takes what the others need. Connections without a credential get their
// turn address by address (IPv6: network of 64 bits by network), and where places
// are short it is the address with the most that loses one. A credential, by its
// name, has a share of sessions, buffers and SEs; what is over it is answered with
// -9yz, and sessions wait a moment for another of theirs to end first. The
// administrative plane has a reserve of sessions (one of sixteen, at most 64) and
// of buffers (one of eight). The log tells every ten minutes which limits were
// reached, by their names.
//
// The limits follow the machine's memory, or its control group's, and the number
// of file descriptors, of which some are held back for SEs and state files. The
// process stays below three quarters of the memory; the environment variables
// GOMEMLIMIT and GOGC have the last word.
//
// # Chips on pins
//
// Package boards has the carriers, the Raspberry Pis and all keys; appliance boards
// shows the pins. A wiring
// that cannot work is refused before any chip gets power, and the log says
// which line in config.txt cures it. A chip that does not answer is looked for
// again and again, from every second to every minute; meanwhile POWERON tries
// at once and says why it fails. The other elements serve.
//
// A chip that has no reset pin, and whose dialect resets no more than its
// interface, may keep the PINs that one user has verified for the next. It stays
// with the credential that first sends it a command, until the TSES ends; others
// are told so. With share = true it is given from user to user all the same. What
// was verified before the TSES was started is not known to it: take the power
// away from such a chip, too.
//
// # Readers
//
// Cards in the readers of the host are reached through its pcscd (Debian package
// pcscd), which may be started later, and again. Its socket is
// /run/pcscd/pcscd.comm, or what the environment variable PCSCLITE_CSOCK_NAME
// says.
//
// A [[element]] of the driver pcsc is there whether its card is or not; a glob
// that fits several readers takes the first that is free. With pcsc.readers,
// every other card is served while it is in its reader, under a SEID made of
// the reader's name and a hash of name, slot and answer to reset: the log and
// LIST show it. An SE that is on is kept from all other programs of the host.
//
// # Log
//
// It goes to standard error. Nobody waits for it: lines that are not taken in time
// are lost, and counted in the line that follows them. In ten minutes there are 30
// lines of each kind from one credential, a few of each kind from those who are not
// let in, and 200 of each kind in all; "lines were left out" has the number of the
// others.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloud-of-se/tses/internal/journal"
	"github.com/cloud-of-se/tses/internal/version"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errUsage says that the command line cannot be understood. What is wrong has
// been printed.
var errUsage = errors.New("usage")

const usage = `usage:
  appliance [-config FILE] [-state DIR] [-listen ADDR] [-confine USER]
  appliance -check [-config FILE]
  appliance -version
  appliance -box DIR [-config FILE] [-state DIR] [-listen ADDR] [-confine USER]
  appliance [-state DIR] credential issue NAME -plane PLANES [-se GLOB]... [-days N] -out FILE [-ca-key FILE]
  appliance [-state DIR] credential revoke NAME|SERIAL [-issuer FILE|KEY]
  appliance [-state DIR] credential list
  appliance [-state DIR] certificate renew [-ca-key FILE] [-names NAME,...]
  appliance boards [CARRIER] [-board NAME]
  appliance [-config FILE] [-state DIR] element list
  appliance [-state DIR] element accept|forget SEID
  appliance [-state DIR] element rename SEID NEW
`

// flags are those of the command line that come before a subcommand.
type flags struct {
	config, state, listen, box string

	confine string // the user to change to, or self; "": give nothing up

	machine *machine // nil: this one
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var f flags
	fs := flag.NewFlagSet("appliance", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, usage); fs.PrintDefaults() }
	fs.StringVar(&f.config, "config", "", "the configuration `file` (TOML)")
	fs.StringVar(&f.state, "state", defaultState, "the state `directory`")
	fs.StringVar(&f.listen, "listen", "", "the `address` to listen on; overrides the configuration, port 0 picks one")
	fs.StringVar(&f.box, "box", "", "the `directory` with the identity and the trust that an SD card brings")
	fs.StringVar(&f.confine, "confine", "", "give up all that is not needed, and become a `user`: a name, a number, or self to stay who one is")
	only := fs.Bool("check", false, "check the configuration and end")
	which := fs.Bool("version", false, "say which version this is and end")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	var err error
	switch args := fs.Args(); {
	case *which:
		_, err = fmt.Fprintln(stdout, "appliance", version.String())
	case *only && len(args) == 0:
		err = check(f)
	case len(args) == 0:
		return attend(ctx, f, stderr)
	case args[0] == "credential":
		err = credential(f, args[1:], stdout, stderr)
	case args[0] == "certificate":
		err = certificate(f, args[1:], stdout, stderr)
	case args[0] == "boards":
		err = wirings(args[1:], stdout, stderr)
	case args[0] == "element":
		err = element(f, args[1:], stdout, stderr)
	default:
		fmt.Fprintf(stderr, "appliance: unknown command %q\n%s", args[0], usage)
		return exitUsage
	}
	return outcome(err, stderr)
}

// attend serves with a log that nobody waits for: a terminal that is stopped, or a
// pipe that nobody reads, holds neither a session nor the end.
func attend(ctx context.Context, f flags, stderr io.Writer) int {
	// The end of who reads the log is not that of the TSES.
	gone := make(chan os.Signal, 1)
	signal.Notify(gone, syscall.SIGPIPE)
	defer signal.Stop(gone)
	log := journal.New(stderr, journal.Options{})
	status := outcome(serve(ctx, f, log), log)
	// Who has not taken the last lines until now cannot be told of it either.
	_ = log.Close(lastWords)
	return status
}

// lastWords is how long the last lines of the log may take.
const lastWords = 2 * time.Second

// outcome says what has gone wrong, and returns the exit status.
func outcome(err error, stderr io.Writer) int {
	switch {
	case errors.Is(err, errUsage):
		return exitUsage
	case err != nil:
		fmt.Fprintf(stderr, "appliance: %v\n", err)
		return exitFailed
	}
	return exitOK
}
