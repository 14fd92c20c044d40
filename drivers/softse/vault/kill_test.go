package vault

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// childDir, where it is set, makes the test binary the process that is killed.
const childDir = "TSES_VAULT_TEST_CHILD"

// childInStep makes it wait for a line after each acknowledgement.
const childInStep = "TSES_VAULT_TEST_STEP"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		err := count(dir)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func killKey() (Key, error) { return NewKey([]byte("a key for the test of a killing.")) }

// count goes on from the state that it finds and acknowledges each after its
// Save, until it is killed.
func count(dir string) error {
	key, err := killKey()
	if err != nil {
		return err
	}
	f, err := Open(dir, key, "soft1")
	if err != nil {
		return err
	}
	state, err := f.Load()
	if errors.Is(err, fs.ErrNotExist) {
		state, err = make([]byte, 3000), nil
	}
	steps := bufio.NewReader(os.Stdin)
	for n := binary.BigEndian.Uint64(state) + 1; err == nil; n++ {
		binary.BigEndian.PutUint64(state, n)
		if err = f.Save(state); err == nil {
			_, err = fmt.Println(n)
		}
		if err == nil && os.Getenv(childInStep) != "" {
			_, err = steps.ReadString('\n')
		}
	}
	return err
}

// TestKill kills a process that saves, at random instants: what it had
// acknowledged is there, or the one that it was saving.
func TestKill(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	dir := t.TempDir()
	key, err := killKey()
	if err != nil {
		t.Fatal(err)
	}
	var last uint64
	for round := range rounds {
		acked := runAndKill(t, dir, time.Duration(rand.Int64N(int64(12*time.Millisecond))))
		last = max(last, acked)
		f, err := Open(dir, key, "soft1")
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		state, err := f.Load()
		if last == 0 && errors.Is(err, fs.ErrNotExist) {
			state, err = make([]byte, 8), nil
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := binary.BigEndian.Uint64(state); got != last && got != last+1 {
			t.Fatalf("round %d: got %d, acknowledged %d", round, got, last)
		} else {
			last = got
		}
		mustClose(t, f)
	}
	t.Logf("%d rounds, %d saves", rounds, last)
}

// runAndKill returns the last state that the child acknowledged.
func runAndKill(t *testing.T, dir string, after time.Duration) (acked uint64) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // fails where it has ended, which the state shows
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if acked, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acked
}
