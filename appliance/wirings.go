package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/cloud-of-se/tses/boards"
)

// shownBoard is the board whose pins are shown where none is named: the header is
// the same on all of them.
const shownBoard = "4b"

// wirings is the subcommand that shows which boards and ready-made wirings there
// are, or the pins of one.
func wirings(args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("appliance boards", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, usage); fs.PrintDefaults() }
	name := fs.String("board", shownBoard, "the `model` of Raspberry Pi")
	words, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return errUsage // the flag package has said why
	}
	board, err := boards.ByName(*name)
	if err != nil {
		return err
	}
	switch len(words) {
	case 0:
		return listWirings(stdout)
	case 1:
		return showCarrier(board, words[0], stdout)
	}
	return misused(stderr, "boards: cannot make sense of "+strings.Join(args, " "))
}

func listWirings(stdout io.Writer) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BOARD\t")
	for _, m := range boards.Models() {
		fmt.Fprintf(w, "%s\t%s\n", m.Name, m.Title)
	}
	fmt.Fprintln(w, "\nCARRIER\tDRIVER\t")
	for _, c := range boards.Carriers() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Name, c.Element.Driver, c.About)
	}
	fmt.Fprintln(w, "\nappliance boards CARRIER shows its pins, and the lines for the configuration.")
	return w.Flush()
}

// showCarrier shows one carrier: what it is, what to connect, what to write.
func showCarrier(board *boards.Board, name string, stdout io.Writer) error {
	e := boards.Element{Carrier: name}
	var names []string
	for _, c := range boards.Carriers() {
		names = append(names, c.Name)
		if c.Name == name {
			e.Driver = c.Element.Driver
			fmt.Fprintf(stdout, "%s: %s\n\n", c.Name, c.About)
			if e.Driver == boards.I2C && c.Element.Address == 0 {
				e.Address = 0x48 // which has to be given
			}
		}
	}
	if e.Driver == "" {
		return fmt.Errorf("carrier %.32q is not known; there is %s", name, strings.Join(names, ", "))
	}
	wiring, err := e.Wiring("se1")
	if err != nil {
		return err
	}
	signals, err := board.Signals(wiring)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "SIGNAL\t%s\n", board)
	for _, s := range signals {
		fmt.Fprintf(w, "%s\t%s\n", s.Name, s.Place)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\n[[element]]\nseid    = \"se1\"\ndriver  = %q\ncarrier = %q\n", e.Driver, name)
	if e.Address != 0 {
		fmt.Fprintf(stdout, "address = 0x%02x  # of your chip\n", e.Address)
	}
	for _, r := range board.Check(wiring) {
		fmt.Fprintf(stdout, "# %v\n", r)
	}
	return nil
}
