package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cloud-of-se/tses/internal/plain"
)

// What a server, a certificate or a box says is printed by these alone: what a
// terminal would act upon, and what turns the direction of writing, is shown as
// what it is and not as what it wants to be taken for.

// maxText bounds one text of somebody else's, in bytes.
const maxText = 4096

// foreign is a text, with or without somebody else's in it, as one line.
func foreign(text string) string {
	return plain.Short(strings.ReplaceAll(text, "\n", "; "), maxText)
}

// printLines writes results. Where they cannot be written the command has not
// done its work.
func (p *program) printLines(lines ...string) error {
	for _, line := range lines {
		if err := p.printOwn(plain.Text(line) + "\n"); err != nil {
			return err
		}
	}
	return nil
}

// printOwn writes what racs alone has made.
func (p *program) printOwn(text string) error {
	if _, err := io.WriteString(p.stdout, text); err != nil {
		return usageError(fmt.Sprintf("standard output: %v", err))
	}
	return nil
}

// say tells of progress, and of what is wrong.
func (p *program) say(format string, args ...any) {
	// Where standard error is gone there is nobody left to tell.
	_, _ = fmt.Fprintln(p.stderr, "racs: "+foreign(fmt.Sprintf(format, args...)))
}

// isTerminal tells whether what is written to w may be seen by a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
