//go:build unix

package pcsctest

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// gpgHome is a home of gpg's with an agent of its own, which asks the target's
// reader and a pinentry that answers by itself.
type gpgHome struct {
	t     *testing.T
	g     Target
	dir   string // short, for the names of sockets
	gpg   string
	agent int
}

// pinentry speaks as much of its protocol (Assuan) as gpg-agent needs. It
// answers what the files user and admin beside it hold, and for a new PIN what
// new.user and new.admin do.
const pinentry = `#!/bin/sh
echo "OK"
said=
while read -r command rest; do
	case "$command" in
	SETDESC | SETPROMPT) said="$said $rest" ;;
	GETPIN)
		cd "$(dirname "$0")"
		file=user
		case "$said" in *Admin*) file=admin ;; esac
		case "$said" in *New*) file=new.$file ;; *Repeat*) file=last ;; esac
		pin=$(cat $file)
		echo "$pin" >last
		echo "D $pin"
		said=
		;;
	BYE) echo OK && exit ;;
	esac
	echo OK
done
`

// newGPGHome makes the home and starts its agent, which ends with the test.
func newGPGHome(t *testing.T, g Target) *gpgHome {
	h := &gpgHome{t: t, g: g, gpg: Need(t, "gpg", "gnupg")}
	Need(t, "gpg-connect-agent", "gpg-agent")
	Need(t, "gpgconf", "gpgconf")
	if _, err := os.Stat("/usr/lib/gnupg/scdaemon"); err != nil {
		Missing(t, "/usr/lib/gnupg/scdaemon (Debian package scdaemon)")
	}
	var err error
	if h.dir, err = os.MkdirTemp("", "gpg"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		endAgent(t, h.agent, h.dir, func() { h.try("gpgconf", "--kill", "all") })
	})
	h.write("scdaemon.conf", "disable-ccid\n")
	h.write("gpg-agent.conf", "enable-ssh-support\npinentry-program "+h.file("pinentry")+"\n")
	h.write("pinentry", pinentry)
	if err := os.Chmod(h.file("pinentry"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.pins("123456", "12345678")
	out := h.run(nil, "gpg-connect-agent", "getinfo pid", "/bye")
	_, pid, _ := strings.Cut("\n"+out, "\nD ")
	pid, _, _ = strings.Cut(pid, "\n")
	if h.agent, err = strconv.Atoi(pid); err != nil {
		t.Fatalf("gpg-agent does not tell its process: %s", out)
	}
	return h
}

func (h *gpgHome) file(name string) string { return filepath.Join(h.dir, name) }

func (h *gpgHome) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(h.file(name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// pins are what the pinentry answers from now on.
func (h *gpgHome) pins(user, admin string) {
	h.write("user", user)
	h.write("admin", admin)
}

func (h *gpgHome) command(program string, args ...string) *exec.Cmd {
	cmd := h.g.Command(h.t, bound, program, args...)
	cmd.Env = append(cmd.Env, "GNUPGHOME="+h.dir, "SSH_AUTH_SOCK="+h.file("S.gpg-agent.ssh"))
	cmd.Dir = h.dir
	return cmd
}

func (h *gpgHome) try(program string, args ...string) (string, error) {
	out, err := h.command(program, args...).CombinedOutput()
	return string(out), err
}

// run runs a program that has to do well and to write all of the texts.
func (h *gpgHome) run(texts []string, program string, args ...string) string {
	h.t.Helper()
	out, err := h.try(program, args...)
	if err != nil {
		h.t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, h.g.trace())
	}
	contains(h.t, out, texts)
	return out
}

// status is what gpg --card-status has to tell.
func (h *gpgHome) status(texts ...string) {
	h.t.Helper()
	h.run(texts, h.gpg, "--card-status")
}

// edit runs gpg with a dialogue and answers its questions by their names: each
// with the next of the answers to it, the last one again and again. A question
// that nobody has answers to ends it.
func (h *gpgHome) edit(answers map[string][]string, args ...string) string {
	h.t.Helper()
	cmd := h.command(h.gpg, append([]string{"--no-tty", "--expert", "--command-fd", "0", "--status-fd", "1"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	timer := time.AfterFunc(bound, func() { in.Close() })
	defer timer.Stop()
	var dialogue strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		dialogue.WriteString(lines.Text() + "\n")
		name, asked := question(lines.Text())
		if !asked {
			continue
		}
		next := answers[name]
		if len(next) == 0 {
			in.Close()
			continue
		}
		if len(next) > 1 {
			answers[name] = next[1:]
		}
		dialogue.WriteString("< " + next[0] + "\n")
		if _, err := in.Write([]byte(next[0] + "\n")); err != nil {
			break // it has ended, and tells why
		}
	}
	if err := cmd.Wait(); err != nil {
		h.t.Fatalf("gpg %s: %v\n%s%s%s", strings.Join(args, " "), err, dialogue.String(), said.String(), h.g.trace())
	}
	return dialogue.String() + said.String()
}

// question is the name of what gpg asks in a line of its status.
func question(line string) (name string, asked bool) {
	for _, kind := range []string{"GET_LINE ", "GET_BOOL ", "GET_HIDDEN "} {
		if name, asked = strings.CutPrefix(line, "[GNUPG:] "+kind); asked {
			return name, true
		}
	}
	return "", false
}

// card runs commands of gpg --card-edit, with the answers to what they ask.
func (h *gpgHome) card(commands []string, answers map[string][]string) string {
	h.t.Helper()
	all := map[string][]string{"cardedit.prompt": append(append([]string{"admin"}, commands...), "quit")}
	for name, a := range answers {
		all[name] = a
	}
	return h.edit(all, "--card-edit")
}
