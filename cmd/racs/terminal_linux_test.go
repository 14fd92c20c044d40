package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/internal/needs"
)

// terminal is both ends of a pseudo terminal that changes nothing.
func terminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		needs.Missing(t, "needs a pseudo terminal: "+err.Error())
	}
	t.Cleanup(func() { user.Close() })
	fd := int(user.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		needs.Missing(t, "needs a pseudo terminal: "+err.Error())
	}
	t.Cleanup(func() { program.Close() })
	attributes, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	attributes.Oflag &^= unix.OPOST
	if err := unix.IoctlSetTermios(int(program.Fd()), unix.TCSETS, attributes); err != nil {
		t.Fatal(err)
	}
	return user, program
}

// On a terminal a script's answers are shown, and not acted upon.
func TestRunOnATerminal(t *testing.T) {
	p := newWorld(t).racs(t, evilScript, "hostile.pem")
	user, end := terminal(t)
	p.stdout = end
	if err := p.script(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := end.WriteString("over"); err != nil {
		t.Fatal(err)
	}
	var got string
	for buf := make([]byte, 4096); !strings.HasSuffix(got, "over"); {
		n, err := user.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += string(buf[:n])
	}
	if want := "BEGIN x\r\n+009 001 " + `\u009b2J\x9b2J\u202egnp.\u200b` + "\r\nEND\r\nover"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
