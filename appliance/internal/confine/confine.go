// Package confine takes from a process what it does not need, for good: root,
// capabilities, other files than its own, other ports, and the system calls
// that a break-in would use first. What breaks into it then finds a process
// that can speak to its chips, keep its state and serve its port.
//
// It is done in two steps. A restriction by Landlock binds the thread that asks
// for it, and a Go program has many; so [Enter] makes the first step on one
// thread and executes the program again, which leaves that thread alone, with
// everything that it had given up. In the program that begins so, Enter makes
// the second step, the filter of system calls, which the kernel lays on all
// threads and which forbids to execute anything from then on. [Settle] follows
// once the process listens.
package confine

import (
	"errors"
	"log/slog"
	"os"
)

// Rules say what a process keeps. Paths that are not there are left out.
type Rules struct {
	// UID and GID are the user and group from then on, and Groups the further
	// ones; 0 is who the process is already, in the groups that it is in.
	UID, GID int
	Groups   []int

	ReadWrite []string // directories with what is below, or files
	Read      []string
	Devices   []string // to be opened and controlled: nodes, or the directory of nodes that come later

	// Libraries are the directories of the loader and the libraries of a
	// program that is linked dynamically.
	Libraries []string

	// Ports are the TCP ports that may be listened on and connected to; empty
	// leaves all of them.
	Ports []uint16

	// Open are files that are opened for reading and writing while that is still
	// allowed. One that cannot be is in the report.
	Open []string

	// Keep are the numbers of the capabilities that are kept (capabilities(7)).
	Keep []int
}

// Cage is what a process has that has entered.
type Cage struct {
	Report Report
	Files  map[string]*os.File // of Rules.Open, by their names; to be closed
}

// Step is one thing that was given up, or why it was not.
type Step struct {
	What string
	Err  string `json:",omitempty"` // "": applied
}

// Report tells what was applied and what was not, as far as the kernel has it.
type Report []Step

func (r *Report) add(what string, err error) {
	s := Step{What: what}
	if err != nil {
		s.Err = err.Error()
	}
	*r = append(*r, s)
}

// Log writes the report, a line for each step.
func (r Report) Log(log *slog.Logger) {
	for _, s := range r {
		if s.Err == "" {
			log.Info("confined", "by", s.What)
		} else {
			log.Warn("not confined", "by", s.What, "err", s.Err)
		}
	}
}

// ErrUnsupported says that the operating system has nothing of all this.
var ErrUnsupported = errors.New("this operating system cannot confine a process")

// reportEnv carries what is handed over at the execution, and tells that the
// first step was made.
const reportEnv = "TSES_CONFINED"

// handover is the report of the first step, and the numbers of open files.
type handover struct {
	Report Report
	Files  map[string]int
}
