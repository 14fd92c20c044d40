package softse_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/softse/vault"
)

// killedDir, where it is set, is the state directory of a test binary that is
// there to be killed.
const killedDir = "TSES_POWERCUT_DIR"

func killedKey() (vault.Key, error) { return vault.NewKey(bytes.Repeat([]byte{5}, vault.KeySize)) }

// TestKilledChild is no test of its own: TestPowerCutKill runs it as a process.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killedDir)
	if dir == "" {
		return
	}
	t.Fatal(playUntilKilled(dir))
}

// playUntilKilled plays random operations, and tells on standard output what
// it is about to do, what was saved, and what the card answered.
func playUntilKilled(dir string) error {
	key, err := killedKey()
	if err != nil {
		return err
	}
	f, err := vault.Open(dir, key, "soft1")
	if err != nil {
		return err
	}
	p, err := newPlayer(teller{f})
	if err != nil {
		return err
	}
	p.tell = tell
	tell("ready")
	for {
		op := operations[rand.IntN(len(operations))]
		tell("op %s", op.name)
		p.left = -1
		if err := op.run(p); err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
		if p.left >= 0 {
			tell("left %d", p.left)
		}
		tell("done %s", op.name)
	}
}

// tell writes one line with one call, so that a kill leaves it whole.
func tell(format string, args ...any) {
	// A parent that is gone does not listen; the process ends with the pipe.
	_, _ = fmt.Printf(format+"\n", args...)
}

// teller is a Store that tells what goes through it, as hashes.
type teller struct{ *vault.File }

func hash(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }

func (s teller) Save(state []byte) error {
	tell("try %s", hash(state))
	err := s.File.Save(state)
	if err == nil {
		tell("saved %s", hash(state))
	}
	return err
}

// told is what the parent knows of the card.
type told struct {
	tried, saved string // hashes of states; tried is empty where none is under way
	most         int    // tries that there may be
	left         int    // tries that there have to be, -1 where that is not known
	installed    string // "install" or "delete", whichever was done last; empty while one is under way
	seq          string // sequence counter
	ready        bool
	lines        int
}

func (k *told) hear(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	k.lines++
	switch word {
	case "ready":
		k.ready = true
	case "try":
		k.tried, k.left = rest, -1
	case "saved":
		k.saved, k.tried = rest, ""
	case "op":
		if rest == "right" || rest == "change" {
			k.most = tries
		}
		if rest == "install" || rest == "delete" {
			k.installed = ""
		}
	case "left":
		if _, err := fmt.Sscan(rest, &k.left); err != nil {
			return err
		}
		k.most = k.left
	case "seq":
		if rest <= k.seq {
			return fmt.Errorf("sequence counter %s after %s", rest, k.seq)
		}
		k.seq = rest
	case "done":
		if rest == "install" || rest == "delete" {
			k.installed = rest
		}
	default:
		return fmt.Errorf("the child says %q", line)
	}
	return nil
}

// TestPowerCutKill kills a process that plays operations to a card, at random
// instants, and looks at what it left in its directory.
func TestPowerCutKill(t *testing.T) {
	rounds, bound := 200, 12*time.Second
	if testing.Short() {
		rounds = 15
	}
	dir := t.TempDir()
	key, err := killedKey()
	if err != nil {
		t.Fatal(err)
	}
	k := &told{most: tries, left: -1}
	prepareKilled(t, dir, key, k)
	done := 0
	for start := time.Now(); done < rounds && time.Since(start) < bound; done++ {
		playAndKill(t, dir, k, time.Duration(rand.Int64N(int64(20*time.Millisecond))))
		lookKilled(t, dir, key, k)
	}
	t.Logf("%d kills, %d lines told", done, k.lines)
}

func prepareKilled(t *testing.T, dir string, key vault.Key, k *told) {
	t.Helper()
	f, err := vault.Open(dir, key, "soft1")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlayer(f)
	if err != nil {
		t.Fatal(err)
	}
	err = p.prepare()
	state, err2 := f.Load()
	if err := errors.Join(err, err2, p.card.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	k.saved = hash(state)
}

// playAndKill runs the child, and kills it a time after it is ready.
func playAndKill(t *testing.T, dir string, k *told, after time.Duration) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), killedDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k.ready = false
	var heard error
	for lines := bufio.NewScanner(out); lines.Scan(); {
		ready := k.ready
		heard = errors.Join(heard, k.hear(lines.Text()))
		if k.ready && !ready {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // fails where it has ended, which is seen below
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the child ended by itself: %v, %v", err, heard)
	}
	if heard != nil {
		t.Fatal(heard)
	}
}

// lookKilled opens what the child left: a state that it told of, and a card
// that agrees with all that it answered.
func lookKilled(t *testing.T, dir string, key vault.Key, k *told) {
	t.Helper()
	f, err := vault.Open(dir, key, "soft1")
	if err != nil {
		t.Fatal(err)
	}
	state, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	if h := hash(state); h != k.saved && h != k.tried {
		t.Fatal("the state is neither the one before nor the one after")
	}
	k.tried = ""
	p, err := newPlayer(f)
	if err != nil {
		t.Fatal(err)
	}
	left, err := p.triesLeft()
	installed, err2 := p.installed()
	again, err3 := p.refill(left)
	var err4 error
	if k.installed == "" { // an authentication may have been cut, see authenticate
		if _, err4 = p.authenticate(); err4 == nil {
			err4 = k.hear(fmt.Sprintf("seq %X", p.seq))
		}
	}
	state, err5 := f.Load()
	if err := errors.Join(err, err2, err3, err4, err5, p.card.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	k.saved = hash(state)
	switch {
	case left > k.most:
		t.Fatalf("%d tries, there were %d", left, k.most)
	case k.left >= 0 && left != k.left:
		t.Fatalf("%d tries, the card had told %d", left, k.left)
	case k.installed != "" && installed != (k.installed == "install"):
		t.Fatalf("after %s: installed: %v", k.installed, installed)
	}
	k.most, k.left = again, -1
}
