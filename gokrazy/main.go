// Command gokrazy makes the image of an SD card for a Raspberry Pi 3, 4, CM4 or
// Zero 2 W that boots into a TSES.
//
//	go run ./gokrazy -o tses.img [-board NAME] [-config FILE] [-owner DIR] [-name NAME | -new] [-boot NAME] [-wifi-firmware DIR]
//
// It needs Go, on Linux or macOS, and nothing else. -config is the
// configuration of the TSES, as command appliance documents it. -board says
// which Raspberry Pi it is for, such as 4b, where the configuration has chips
// on its buses; else the card fits all of them.
//
// A box is connected by Ethernet unless the configuration has [network.wifi].
// The firmware of a Wi-Fi chip is its maker's, and no part of this project: it
// is taken from /lib/firmware of the machine that makes the card, where Debian
// and Raspberry Pi OS put it with the package firmware-brcm80211 (and the rules
// of a country with wireless-regdb), or from the directory of -wifi-firmware.
//
// Beside tses.img it writes tses.update, signed by the owner: what the card
// holds, for this box when it runs already. "racs update tses.update" sends it;
// with -boot NAME it brings kernel and firmware too, and has to be asked for by
// that name. It holds the box's key as the image does.
//
// # Owner, box and trust
//
// The owner is whoever makes the card. Their directory, tses-owner unless
// -owner says otherwise, is made on the first run:
//
//	ca.pem, ca.key          the owner's CA: whom boxes let in, and which boxes clients trust
//	credentials/admin.pem   an administrator's credential
//	credentials.json        what was issued and revoked
//	boxes/NAME/             the identity of each box, to make its card again
//
// More credentials are issued, and revoked, with
//
//	go run ./appliance -state tses-owner credential issue NAME -plane user -out FILE
//
// Every card has the identity of one box, named tses-XXXX unless -name says
// otherwise. With the name of a box that is there, its card is made again. Where
// there is one, either -name or -new has to say which is meant.
//
// On the card are the box's name, the owner's certificate, which says whom to
// let in, and a box CA with its key. The box makes its server key on its first
// boot, on the box, and signs its certificate with the box CA. Clients trust
// the owner's CA alone and reach the box by its name:
//
//	server certificate  <-  box CA  <-  owner's CA
//
// # Threat model
//
// Who can reach a fresh box over the network: needs a credential of the owner's
// CA for anything at all. There is no password, no default credential, no
// enrolment that could be won by being first, and no other listener.
//
// Who listens or stands in between: TLS 1.3 with certificates on both sides.
//
// Who steals a card, or an image: has the box CA's key, the server's key, the
// state of the software SEs, and the key of the Wi-Fi network where there is
// one. With that they can pretend to be this one box until the owner's clients
// stop asking for its name. They cannot pretend to be another: the box CA has X.509 name constraints with this box's names alone
// and without any IP address. They cannot make a credential: the box CA's
// extended key usage is that of servers, and path length 0 leaves no CA below
// it. The owner's CA key never was on the card. A chip on a bus keeps its keys
// as well as chips do; a software SE is as safe as the card.
//
// Who sends an update: needs an administrator's credential, and an update that
// the owner's CA key has signed, for this box, not older than what runs.
//
// Who has broken into the TSES: has what the TSES has, and not the box. It can
// write the root file system that does not run, and the first process starts
// nothing there but what the owner has signed, for this box, and not older than
// what runs: it judges by its own root file system, where nobody has written.
// Going back to an older one takes the owner's word besides an administrator's:
//
//	go run ./gokrazy -older KEPT.update -replaces 2026-11-28T20:09:08Z -o back.update
//
// where the time is that of what runs, as "racs update" shows it.
//
// Who forges the time (NTP is not authenticated): makes the box's clock wrong as
// long as they are there. Users whose credentials have expired by it are not let
// in meanwhile, and those whose have in truth may be. What stays behind is at most
// half a year, where two servers that agree were forged, and nothing of one
// answer; an administrator is let in by what has passed for certain, and with a
// new credential always. Package gokrazy/internal/clock says how. A box from before
// that which has saved a wrong time lets in a credential that outlives it, and
// takes the update: appliance credential issue rescue -plane administrator -days 9000.
//
// Who gets the owner's directory: is the owner. Keep it as such a thing is
// kept; it is needed to make cards and credentials, and never by a box.
//
// Who can write to the card: owns the box. Nothing on a Raspberry Pi 3 or 4
// verifies what it boots.
//
// A revocation in the owner's directory gets on the cards, and with the updates
// to the boxes, that are made after it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/internal/builder"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := builder.Options{Progress: stderr}
	fs := flag.NewFlagSet("gokrazy", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.Output, "o", "", "the image `file` to make")
	fs.StringVar(&o.Owner, "owner", "tses-owner", "the owner's `directory`, made where there is none")
	fs.StringVar(&o.Name, "name", "", "the box's `name`, of a new one or one that is there")
	fs.BoolVar(&o.New, "new", false, "make a new box, with a name of its own, beside those that are there")
	fs.StringVar(&o.Board, "board", "", "the `model` of Raspberry Pi, for chips on its buses: 3b, 4b, cm4, zero2w ...")
	fs.StringVar(&o.Config, "config", "", "the configuration `file` of the TSES")
	fs.StringVar(&o.Boot, "boot", "", "let the update bring the boot partition too, under this `name`")
	fs.StringVar(&o.WifiFirmware, "wifi-firmware", "", "for Wi-Fi: the `directory` with brcm/brcmfmac43455-sdio.bin and the like, default /lib/firmware")
	kept := fs.String("older", "", "sign again this update that was kept, a `file`, into the one of -o, so that it may replace what is newer; with -replaces")
	replaces := fs.String("replaces", "", "for -older: the `time` when what the box runs was built, as racs update shows it")
	verbose := fs.Bool("v", false, "show what the packer says")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	if o.Output == "" || fs.NArg() > 0 || o.New && o.Name != "" {
		fmt.Fprintln(stderr, "usage: go run ./gokrazy -o FILE [-board NAME] [-config FILE] [-owner DIR] [-name NAME | -new] [-boot NAME] [-wifi-firmware DIR] [-v]")
		return exitUsage
	}
	if *kept != "" || *replaces != "" {
		return permit(o.Owner, *kept, o.Output, *replaces, stdout, stderr)
	}
	if *verbose {
		o.Verbose = stderr
	}
	var err error
	if o.Repository, err = repository(ctx); err == nil {
		var made *builder.Result
		if made, err = builder.Build(ctx, o); err == nil {
			made.Explain(stdout)
			return exitOK
		}
	}
	fmt.Fprintf(stderr, "gokrazy: %v\n", err)
	return exitFailed
}

// permit signs an older update so that boxes take it.
func permit(owner, kept, output, replaces string, stdout, stderr io.Writer) int {
	at, err := time.Parse(time.RFC3339, replaces)
	if kept == "" || err != nil {
		fmt.Fprintln(stderr, "usage: go run ./gokrazy -older FILE -replaces TIME -o FILE [-owner DIR], with TIME such as 2026-11-28T20:09:08Z")
		return exitUsage
	}
	h, err := builder.PermitOlder(owner, kept, output, at)
	if err != nil {
		fmt.Fprintf(stderr, "gokrazy: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stdout, "%s may replace what was built until %s. Send it by\n  go run ./cmd/racs update -older %s %s\n", h, at.UTC().Format(time.RFC3339), h.Version, output)
	return exitOK
}

// repository is where the sources are that the card is made from.
func repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cloud-of-se/tses").Output()
	if err != nil {
		return "", fmt.Errorf("the sources are not here: run it in a clone of the repository: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
