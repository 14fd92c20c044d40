package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cloud-of-se/tses/access"
)

// order is what the flags of the credential subcommand say.
type order struct {
	state, planes, out, caKey, issuer string
	globs                             []string // nil: -se was not given
	days                              int
}

// maxDays is the longest life of a credential. That of the CA ends it anyhow.
const maxDays = 30 * 365

// credential is the subcommand for access credentials. Its flags may stand
// anywhere between the names.
func credential(f flags, args []string, stdout, stderr io.Writer) error {
	var o order
	fs := flag.NewFlagSet("appliance credential", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, usage); fs.PrintDefaults() }
	fs.StringVar(&o.state, "state", f.state, "the state `directory`")
	fs.StringVar(&o.planes, "plane", "", "issue: user, administrator or user,administrator")
	fs.Func("se", "issue: the SEIDs that the credential may see, `globs` with commas between; can be given several times; without it all", func(globs string) error {
		o.globs = append(o.globs, strings.Split(globs, ",")...)
		return nil
	})
	fs.IntVar(&o.days, "days", 365, "issue: how many days it is valid")
	fs.StringVar(&o.out, "out", "", "issue: the `file` for certificate and key")
	fs.StringVar(&o.caKey, "ca-key", "", "issue: the `file` with the CA's key, where that is not in the state directory")
	fs.StringVar(&o.issuer, "issuer", "", "revoke: the `file` with the certificate of the CA that the serial number is of, or the SHA-256 of its public key; without it any CA's is meant")
	names, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return errUsage // the flag package has said why
	}
	action := strings.Join(names[:min(1, len(names))], "")
	switch {
	case action == "issue" && len(names) == 2:
		switch {
		case o.planes == "" || o.out == "":
			return misused(stderr, "credential issue needs -plane and -out")
		case o.days < 1 || o.days > maxDays:
			return misused(stderr, fmt.Sprintf("-days %d: want 1 to %d", o.days, maxDays))
		}
		return issue(o, names[1], stdout)
	case action == "revoke" && len(names) == 2 && fs.NFlag() == countSet(fs, "state")+countSet(fs, "issuer"):
		return revoke(o, names[1], stdout)
	case action == "list" && len(names) == 1 && fs.NFlag() == countSet(fs, "state"):
		return list(o, stdout)
	}
	return misused(stderr, "credential: cannot make sense of "+strings.Join(args, " "))
}

func misused(stderr io.Writer, what string) error {
	fmt.Fprintf(stderr, "appliance: %s\n%s", what, usage)
	return errUsage
}

// parse reads flags and names in any order and returns the names.
func parse(fs *flag.FlagSet, args []string) (names []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return names, nil
		}
		names, args = append(names, fs.Arg(0)), fs.Args()[1:]
	}
}

// countSet is 1 if the flag was given, else 0.
func countSet(fs *flag.FlagSet, name string) (n int) {
	fs.Visit(func(f *flag.Flag) {
		if f.Name == name {
			n = 1
		}
	})
	return n
}

func issue(o order, name string, stdout io.Writer) error {
	planes, err := access.ParsePlanes(o.planes)
	if err != nil {
		return err
	}
	wanted := access.Order{Name: name, Planes: planes, SEs: o.globs, Life: time.Duration(o.days) * 24 * time.Hour}
	authority, err := openAuthority(o.state, o.caKey)
	if err != nil {
		return err
	}
	c, err := issueFile(authority, wanted, o.out)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %s, plane %s, SEs %s, until %s, serial %s\n", o.out, c.Name, c.Planes, shown(c.SEs), day(c.NotAfter), c.Serial)
	handOver(stdout, o, authority)
	return nil
}

// handOver says what somebody needs to use a credential. The file alone is of no
// use, and says nothing of where the TSES is.
func handOver(w io.Writer, o order, a *access.Authority) {
	server := "HOST:7777, where this TSES listens"
	if names, err := a.ServerNames(); err == nil && len(names) > 0 {
		server += "; its certificate is for " + strings.Join(names, ", ")
	}
	fmt.Fprintf(w, `Give %s, over a way that nobody else reads, to whom it is for:
  RACS_CRED  %s; it holds the private key, like a password
  RACS_CA    %s, which is no secret
  RACS_SERVER  %s
and the program racs: go install ./cmd/racs, or go run ./release for people without Go.
`, o.out, o.out, a.CertificatePath(), server)
}

func revoke(o order, nameOrSerial string, stdout io.Writer) error {
	authority, err := openAuthority(o.state, "")
	if err != nil {
		return err
	}
	if o.issuer != "" {
		return revokeOf(authority.Registry(), o.issuer, nameOrSerial, stdout)
	}
	revoked, err := authority.Registry().Revoke(nameOrSerial)
	if err != nil {
		return err
	}
	for _, e := range revoked {
		note := e.Name
		if note == "" {
			note = "not issued by this TSES: whatever CA it is of"
		}
		fmt.Fprintf(stdout, "revoked %s (%s)\n", e.Serial, note)
	}
	return nil
}

// revokeOf revokes a serial number of one CA.
func revokeOf(r *access.Registry, issuer, serial string, stdout io.Writer) error {
	id, err := issuerKey(issuer)
	if err != nil {
		return fmt.Errorf("-issuer: %w", err)
	}
	e, err := r.RevokeID(access.ID{Issuer: id, Serial: serial})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "revoked %v\n", e.ID())
	return nil
}

func list(o order, stdout io.Writer) error {
	authority, err := openAuthority(o.state, "")
	if err != nil {
		return err
	}
	entries, err := authority.Registry().Entries()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATE\tPLANES\tSEs\tUNTIL\tSERIAL")
	for _, e := range entries {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Name, e.State(time.Now()), strings.Join(e.Planes, ","), shown(e.SEs), day(e.NotAfter), listed(e, access.KeyID(authority.Certificate())))
	}
	return w.Flush()
}

// listed is an entry's serial number, with the CA where it is another's.
func listed(e access.Entry, own string) string {
	if e.Issuer == own {
		return e.Serial
	}
	return e.ID().String()
}

// openAuthority opens the CA of a state that the TSES has made. caKey is where its
// key is kept, "" for there.
func openAuthority(state, caKey string) (*access.Authority, error) {
	a, err := access.OpenAuthority(state)
	if errors.Is(err, access.ErrNoAuthority) {
		return nil, fmt.Errorf("%w; run the TSES once with -state %s, or name the right directory", err, state)
	}
	if err == nil && caKey != "" {
		err = a.TakeKey(caKey)
	}
	return a, err
}

// shown is a list of globs for people.
func shown(globs []string) string {
	if globs == nil {
		return "all"
	}
	return strings.Join(globs, ",")
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}
