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
	got := shownUntilNow(t, user, end)
	if want := "BEGIN x\r\n+009 001 " + `\u009b2J\x9b2J\u202egnp.\u200b` + "\r\nEND\r\nover"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// shownUntilNow is what a terminal was told, with "over" at its end.
func shownUntilNow(t *testing.T, user, end *os.File) (got string) {
	t.Helper()
	if _, err := end.WriteString("over"); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 4096); !strings.HasSuffix(got, "over"); {
		n, err := user.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += string(buf[:n])
	}
	return got
}

// A person at a terminal is told what the SE's answers mean; the hex stands first.
func TestAnswersOnATerminal(t *testing.T) {
	p := newWorld(t).racs(t, "", "user.pem")
	user, end := terminal(t)
	p.stdout = end
	if err := p.apdu(t.Context(), []string{"well", "00A4ABCD", "0084000008"}); err != nil {
		t.Fatal(err)
	}
	if err := p.reset(t.Context(), []string{"well"}); err != nil {
		t.Fatal(err)
	}
	got := shownUntilNow(t, user, end)
	for _, want := range []string{"ABCD9000    success\n00009000    success\n3B8001\n  malformed ATR: TCK is missing"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not shown:\n%s", want, got)
		}
	}
	if got := strings.Join(p.atrLines([]byte{0x3B, 0x80, 0x80, 0x01, 0x01}), "\n"); !strings.HasPrefix(got, "3B80800101\n  convention ") || !strings.Contains(got, "\n  protocols ") {
		t.Errorf("an ATR is explained as\n%s", got)
	}
	for sw, want := range map[string]string{"\x6A\x82": "6A82    file or application not found", "\x63\xC2": "63C2    verification failed, 2 tries left", "\x90": "90"} {
		if got := p.answerLine([]byte(sw)); got != want {
			t.Errorf("%X: %q, want %q", sw, got, want)
		}
	}
}
