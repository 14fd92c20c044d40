//go:build unix

package pcsctest

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// GPG has gpg's scdaemon look for an OpenPGP card. The card need not be one:
// the reader has to be found, and its card to be asked.
func GPG(t *testing.T, g Target) {
	gpg := Need(t, "gpg", "gnupg")
	connect := Need(t, "gpg-connect-agent", "gpg-agent")
	conf := Need(t, "gpgconf", "gpgconf")
	if _, err := os.Stat("/usr/lib/gnupg/scdaemon"); err != nil {
		Missing(t, "/usr/lib/gnupg/scdaemon (Debian package scdaemon)")
	}
	home, err := os.MkdirTemp("", "gpg") // short, for the names of its sockets
	if err != nil {
		t.Fatal(err)
	}
	run := func(program string, args ...string) (string, error) {
		t.Helper()
		cmd := g.Command(t, 30*time.Second, program, args...)
		cmd.Env = append(cmd.Env, "GNUPGHOME="+home)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	agent := 0
	t.Cleanup(func() { endAgent(t, agent, home, func() { run(conf, "--kill", "all") }) })
	if err := os.WriteFile(home+"/scdaemon.conf", []byte("disable-ccid\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(connect, "getinfo pid", "/bye")
	if err != nil {
		t.Fatalf("start gpg-agent: %v\n%s", err, out)
	}
	_, pid, _ := strings.Cut("\n"+out, "\nD ")
	pid, _, _ = strings.Cut(pid, "\n")
	if agent, err = strconv.Atoi(pid); err != nil {
		t.Fatalf("gpg-agent does not tell its process: %s", out)
	}
	status, statusErr := run(gpg, "--batch", "--card-status")
	list, err := run(connect, "scd getinfo reader_list", "/bye")
	if err != nil || !strings.Contains(unescape(list), g.Reader) {
		t.Errorf("scdaemon does not list %q: %v\n%s", g.Reader, err, list)
	}
	// Where the card has the OpenPGP application, its status; else a word
	// about the card, which is not one about a reader that is not there.
	ok := statusErr == nil && strings.Contains(status, "Reader") || strings.Contains(status, "Not supported") || strings.Contains(status, "Card error")
	if !ok {
		t.Errorf("gpg --card-status: %v\n%s", statusErr, status)
	}
}

// unescape undoes the percent and plus escapes of gpg's sockets.
func unescape(s string) string {
	return strings.NewReplacer("%20", " ", "+", " ").Replace(s)
}

// endAgent ends the gpg-agent of a home, and with it its scdaemon, and waits
// until it is gone.
func endAgent(t *testing.T, agent int, home string, kill func()) {
	kill()
	for end := time.Now().Add(5 * time.Second); agent != 0 && runs(agent); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("gpg-agent %d does not end; killed: %v", agent, syscall.Kill(agent, syscall.SIGKILL))
			break
		}
	}
	if err := os.RemoveAll(home); err != nil {
		t.Error(err)
	}
}

// runs tells whether a process runs; one that nobody waited for does not.
func runs(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
