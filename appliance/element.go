package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/cloud-of-se/tses/drivers/softse/vault"
)

// element is the subcommand for the states of software SEs.
func element(f flags, args []string, stdout, stderr io.Writer) error {
	dir := filepath.Join(f.state, elementsDir)
	switch {
	case len(args) == 1 && args[0] == "list":
		return listElements(f, dir, stdout)
	case len(args) == 2 && (args[0] == "accept" || args[0] == "forget"), len(args) == 3 && args[0] == "rename":
	default:
		fmt.Fprint(stderr, usage)
		return errUsage
	}
	if _, err := os.Stat(f.state); err != nil {
		return fmt.Errorf("%w; name the right directory with -state", err)
	}
	key, err := loadKey(f.state)
	if err != nil {
		return err
	}
	defer key.Wipe()
	said := ""
	switch args[0] {
	case "accept":
		err, said = vault.Accept(dir, key, args[1]), "its state is taken as it is"
	case "forget":
		err, said = vault.Forget(dir, key, args[1]), "it begins anew at the next start"
	case "rename":
		err, said = vault.Rename(dir, key, args[1], args[2]), "its state is that of "+args[2]+" now"
	}
	if err != nil {
		return explainElement(err, dir)
	}
	fmt.Fprintf(stdout, "%s: %s\n", args[1], said)
	return nil
}

// explainElement adds what to do about an error.
func explainElement(err error, dir string) error {
	switch {
	case errors.Is(err, vault.ErrLocked):
		return fmt.Errorf("%w; stop the TSES first", err)
	case errors.Is(err, vault.ErrTaken):
		return fmt.Errorf("%w; if that is a new one that nobody needs, forget it first", err)
	case errors.Is(err, vault.ErrUnknown), errors.Is(err, fs.ErrNotExist):
		names, listErr := vault.Names(dir)
		if listErr != nil || len(names) == 0 {
			return fmt.Errorf("%w; there is none at all in %s", err, dir)
		}
		return fmt.Errorf("%w; there is %s", err, strings.Join(names, ", "))
	}
	return err
}

// listElements shows which states there are, and whose SEs are configured.
func listElements(f flags, dir string, stdout io.Writer) error {
	c, err := configured(f)
	if err != nil {
		return err
	}
	names, err := vault.Names(dir)
	if err != nil {
		return err
	}
	soft := softSEIDs(c)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SEID\tDRIVER\tSTATE")
	for _, e := range c.Elements {
		state := "-"
		if e.Driver == "softse" {
			state = "none yet"
		}
		if e.Driver == "softse" && slices.Contains(names, e.SEID) {
			state = saved(dir, e.SEID)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.SEID, e.Driver, state)
	}
	for _, name := range names {
		if !slices.Contains(soft, name) {
			fmt.Fprintf(w, "%s\t-\t%s, of no element of the configuration\n", name, saved(dir, name))
		}
	}
	return w.Flush()
}

// saved tells when a state was saved last.
func saved(dir, seid string) string {
	info, err := os.Stat(filepath.Join(dir, seid+".state"))
	if err != nil {
		return "saved" // and gone since it was listed, or not to be looked at
	}
	return "saved " + day(info.ModTime())
}

func softSEIDs(c config) (seids []string) {
	for _, e := range c.Elements {
		if e.Driver == "softse" {
			seids = append(seids, e.SEID)
		}
	}
	return seids
}

// orphans are the states that no software SE of the configuration has, and the
// SEs that begin without one: who has renamed an SE has one of each.
type orphans struct{ unused, fresh []string }

func findOrphans(c config, state string) (o orphans) {
	names, err := vault.Names(filepath.Join(state, elementsDir))
	if err != nil {
		return o // opening them says why
	}
	soft := softSEIDs(c)
	for _, name := range names {
		if !slices.Contains(soft, name) {
			o.unused = append(o.unused, name)
		}
	}
	for _, seid := range soft {
		if !slices.Contains(names, seid) {
			o.fresh = append(o.fresh, seid)
		}
	}
	return o
}

func (o orphans) tell(state string, log *slog.Logger) {
	command := "appliance -state " + state + " element "
	for _, name := range o.unused {
		switch len(o.fresh) {
		case 0:
			log.Info("the state of a software SE lies unused, for no element of the configuration has its SEID", "seid", name, "to remove it", command+"forget "+name)
		default:
			log.Warn("the state of a software SE lies unused, for no element of the configuration has its SEID, and there are elements that begin without a state: if one of them was renamed, stop this TSES and carry the state over",
				"seid", name, "new", strings.Join(o.fresh, ","), "by", command+"forget NEW; "+command+"rename "+name+" NEW")
		}
	}
}
