//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloud-of-se/tses/gokrazy/internal/supervise"
	"github.com/cloud-of-se/tses/gokrazy/internal/trial"
	"github.com/cloud-of-se/tses/gokrazy/slots"
	"github.com/cloud-of-se/tses/internal/journal"
	"github.com/cloud-of-se/tses/internal/needs"
)

func TestSink(t *testing.T) {
	var console bytes.Buffer
	s := newSink(&console)
	fmt.Fprintln(s, "early")
	dir := filepath.Join(t.TempDir(), "log")
	if err := s.open(dir); err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 1023) + "\n"
	for i := range 2500 { // 2.5 MiB
		fmt.Fprint(s, line)
		if i%100 == 0 && !(s.file.Flush(time.Minute) && s.console.Flush(time.Minute)) {
			t.Fatal("it is not written")
		}
	}
	s.console.Flush(time.Minute)
	fmt.Fprintln(s, "late")
	if err := s.close(time.Minute); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(s, "to the console alone")
	stop(t, s)
	sizes := 0
	for _, name := range []string{logFile, oldFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > maxLog || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %d bytes, %v", name, info.Size(), info.Mode())
		}
		sizes += int(info.Size())
	}
	if sizes < maxLog {
		t.Errorf("%d bytes are kept", sizes)
	}
	if got := console.String(); !strings.HasPrefix(got, "early\n") || !strings.HasSuffix(got, "late\nto the console alone\n") {
		t.Error("the console does not have the first and the last")
	}
	// The next start goes on where this one ended.
	s = newSink(&console)
	fmt.Fprintln(s, "again")
	if err := s.open(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.close(time.Minute); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	if text, err := os.ReadFile(filepath.Join(dir, logFile)); err != nil || !strings.HasSuffix(string(text), "late\nagain\n") {
		t.Errorf("the file ends with %q, %v", text[max(0, len(text)-40):], err)
	}
}

// What cannot be written down is on the console, and what is written before
// there is a file is bounded.
func TestSinkFails(t *testing.T) {
	var console bytes.Buffer
	s := newSink(&console)
	for range 3 {
		fmt.Fprintln(s, strings.Repeat("x", maxEarly/2-2))
	}
	fmt.Fprintln(s, "short")
	dir := t.TempDir()
	if err := s.open(dir); err != nil {
		t.Fatal(err)
	}
	s.file.Flush(time.Minute)
	text, err := os.ReadFile(filepath.Join(dir, logFile))
	if err != nil || len(text) > maxEarly+100 || !strings.HasSuffix(string(text), "log: 2 lines more came before there was a file, and are not here\n") {
		t.Errorf("the file has %d bytes, and ends with %q, %v", len(text), text[max(0, len(text)-80):], err)
	}
	s.console.Flush(time.Minute)
	if err := s.close(time.Minute); err != nil {
		t.Fatal(err)
	}
	f, err := openFiles(dir, s.console)
	if err != nil {
		t.Fatal(err)
	}
	f.file.Close() // the card dies
	s.file = journal.New(f, journal.Options{End: f.close})
	if n, err := s.Write([]byte("on the console\n")); n != 15 || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	if err := s.close(time.Minute); err != nil {
		t.Error(err)
	}
	stop(t, s)
	if got := console.String(); !strings.Contains(got, "on the console\n") || !strings.Contains(got, "the console alone has it") {
		t.Errorf("the console: %q", got[max(0, len(got)-200):])
	}
	other := newSink(&console)
	defer stop(t, other)
	if err := other.open("/proc/none"); err == nil {
		t.Error("a directory that cannot be made")
	}
}

// stop ends the console of a sink.
func stop(t *testing.T, s *sink) {
	t.Helper()
	if err := s.console.Close(time.Minute); err != nil {
		t.Error(err)
	}
}

// A card that hangs holds nobody: neither who writes, nor the end of the box. The
// console has the lines, and what is not on the card is counted there.
func TestHangingCard(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	both, err := os.OpenFile(pipe, os.O_RDWR, 0) // what is written to it waits for who reads it
	if err != nil {
		t.Fatal(err)
	}
	defer both.Close()
	var console bytes.Buffer
	s := newSink(&console)
	f := &files{dir: t.TempDir(), console: s.console, file: both}
	s.file = journal.New(f, journal.Options{Room: maxUnput, End: f.close})
	line := "tses: " + strings.Repeat("x", 999) + "\n"
	const lines = 2000
	for i := range lines { // 2 MB, of which a pipe takes 64 KiB
		fmt.Fprint(s, line)
		if i%100 == 0 && !s.console.Flush(time.Minute) {
			t.Fatal("the console is held")
		}
	}
	if err := s.close(time.Millisecond); !errors.Is(err, journal.ErrStuck) {
		t.Errorf("close: %v", err)
	}
	stop(t, s)
	if got := strings.Count(console.String(), "tses: xxx"); got != lines {
		t.Errorf("the console has %d lines of %d", got, lines)
	}
}

// slow is a console that takes what it is given when it is told to.
type slow struct {
	taken chan string
}

func (s slow) Write(p []byte) (int, error) {
	s.taken <- string(p)
	return len(p), nil
}

// A console that is stopped stops nobody: the file has all lines, and the
// console says how many it has not, at the place where they were.
func TestSlowConsole(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := slow{make(chan string)}
		s := newSink(w)
		if err := s.open(dir); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(s, "first")
		synctest.Wait() // the console has it, and is stopped
		if s.console.Flush(time.Second) {
			t.Error("what is being written is written")
		}
		line := strings.Repeat("x", 999) + "\n" // there is room for a short one behind them
		const more = 30
		for range maxWaiting/len(line) + more {
			fmt.Fprint(s, line)
		}
		fmt.Fprintln(s, "short")
		if s.console.Flush(time.Second) {
			t.Error("all is written")
		}
		if got := <-w.taken; got != "first\n" {
			t.Errorf("first %.40q", got)
		}
		want := fmt.Sprintf("log: %d lines not shown", more+1)
		if got := <-w.taken; strings.Count(got, line) != maxWaiting/len(line) || !strings.Contains(got, want) {
			t.Errorf("then %d bytes which end with %q, want %q", len(got), got[len(got)-100:], want)
		}
		fmt.Fprintln(s, "last")
		go func() {
			if got := <-w.taken; got != "last\n" {
				t.Errorf("at last %.40q", got)
			}
		}()
		if !s.console.Flush(time.Second) {
			t.Error("it is not flushed")
		}
		stop(t, s)
		if err := s.close(time.Minute); err != nil {
			t.Error(err)
		}
	})
	text, err := os.ReadFile(filepath.Join(dir, logFile))
	if err != nil || strings.Count(string(text), "\n") != maxWaiting/1000+30+3 {
		t.Errorf("the file has %d lines, %v", strings.Count(string(text), "\n"), err)
	}
}

// The TSES can say nothing that looks like a line of init's, or that a terminal
// acts upon.
func TestSpeaker(t *testing.T) {
	var got strings.Builder
	s := &speaker{w: &got, prefix: "tses: "}
	for _, text := range []string{
		"one\ntw", "o\n", "\n", "a\x1b[2Jb\rc\x00\x7f\t\u009bé\xff\u202e\n",
		strings.Repeat("x", maxLine-1), "yzz\n", "no end",
	} {
		if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
	}
	s.flush()
	s.flush()
	want := "tses: one\ntses: two\ntses: \ntses: a\\x1b[2Jb\\x0dc\\x00\\x7f\t\\u009bé\\xff\\u202e\n" +
		"tses: " + strings.Repeat("x", maxLine-1) + "y … 2 bytes more\ntses: no end\n"
	if got.String() != want {
		t.Errorf("got %q\nwant %q", got.String(), want)
	}
	if len(s.line) > maxLine || cap(s.line) > 4*maxLine {
		t.Errorf("%d bytes are kept", cap(s.line))
	}
}

// A TSES that says too much fills no log.
func TestSpeakerFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got strings.Builder
		s := &speaker{w: &got, prefix: "tses: "}
		line := strings.Repeat("x", 993) + "\n" // 1000 bytes with the prefix
		const fit, more = maxSaid / 1000, 5000
		for range fit + more {
			fmt.Fprint(s, line)
		}
		if n := strings.Count(got.String(), "\n"); n != fit {
			t.Errorf("%d lines, want %d", n, fit)
		}
		time.Sleep(saidTime + time.Second)
		fmt.Fprint(s, "again\n")
		want := fmt.Sprintf("log: %d lines of \"tses: \" were left out: there were too many\ntses: again\n", more)
		if text := got.String(); !strings.HasSuffix(text, want) {
			t.Errorf("it ends with %q, want %q", text[len(text)-100:], want)
		}
		for range fit + 1 {
			fmt.Fprint(s, line)
		}
		s.flush()
		if text := got.String(); !strings.HasSuffix(text, "log: 1 lines of \"tses: \" were left out: there were too many\n") {
			t.Errorf("it ends with %q", text[len(text)-100:])
		}
	})
}

// Control-S does not stop the console.
func TestWithoutFlowControl(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		needs.Missing(t, "needs a pseudo terminal: "+err.Error())
	}
	defer terminal.Close()
	if err := withoutFlowControl(terminal); err != nil {
		t.Fatal(err)
	}
	after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil || after.Iflag&(unix.IXON|unix.IXOFF) != 0 {
		t.Errorf("flags %#x, %v", after.Iflag, err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := withoutFlowControl(file); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("a file: %v, want ENOTTY", err)
	}
}

func TestHunger(t *testing.T) {
	healthy := false
	start := time.Now()
	h := &hunger{healthy: func() bool { return healthy }, patience: time.Minute, last: start}
	for _, tt := range []struct {
		after   time.Duration
		healthy bool
		want    bool
	}{
		{0, false, false}, {59 * time.Second, false, false}, {50 * time.Second, true, false},
		{100 * time.Second, false, false}, {111 * time.Second, false, true}, {112 * time.Second, true, false},
		{200 * time.Second, false, true},
	} {
		healthy = tt.healthy
		if got := h.starves(start.Add(tt.after)); got != tt.want {
			t.Errorf("after %v: %v, want %v", tt.after, got, tt.want)
		}
	}
}

// feeds notes when a watchdog is fed, and fails where two do it at a time.
type feeds struct {
	busy atomic.Bool
	t    *testing.T

	mu sync.Mutex
	at []time.Time
}

func (f *feeds) keepAlive() error {
	if f.busy.Swap(true) {
		f.t.Error("two feed the watchdog")
	}
	time.Sleep(300 * time.Millisecond) // it takes its time
	f.mu.Lock()
	f.at = append(f.at, time.Now())
	f.mu.Unlock()
	f.busy.Store(false)
	return nil
}

// last is when it was fed last.
func (f *feeds) last() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[len(f.at)-1]
}

// pause is the longest time between two feedings.
func (f *feeds) pause() (longest time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.at[1:] {
		longest = max(longest, f.at[i+1].Sub(f.at[i]))
	}
	return longest
}

// The watchdog is fed from its opening on, however long the start takes, and
// without a gap when guard takes over.
func TestWatchdogIsFed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feeds{t: t}
		began := time.Now()
		log := slog.New(slog.DiscardHandler)
		b := &box{dog: newWatchdog(f.keepAlive, log), daemon: &supervise.Daemon{}, log: log}
		time.Sleep(startTime - 10*time.Second)
		unwell := b.guard(t.Context())
		<-unwell
		if lasted := time.Since(began); lasted < startTime+patience-15*time.Second {
			t.Errorf("unwell after %v", lasted)
		}
		time.Sleep(downTime + time.Minute)
		synctest.Wait()
		if first := f.at[0].Sub(began); first > time.Second || f.pause() > 2*feedEvery {
			t.Errorf("fed first after %v, then with pauses of up to %v", first, f.pause())
		}
	})
}

// A boot partition that is being overwritten has more time, and not for ever. So
// long the watchdog is fed.
func TestOverwritingHasTime(t *testing.T) {
	for _, tt := range []struct {
		name       string
		busy, want time.Duration
	}{
		{"not", 0, downTime},
		{"short", downTime / 2, downTime},
		{"long", 3 * downTime, 3 * downTime},
		{"for ever", time.Hour, downTime + overwriteTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &feeds{t: t}
				log := slog.New(slog.DiscardHandler)
				b := &box{dog: newWatchdog(f.keepAlive, log), daemon: &supervise.Daemon{}, log: log}
				ctx, cancel := context.WithCancel(t.Context())
				unwell := b.guard(ctx)
				time.Sleep(time.Minute)
				began := time.Now()
				b.busy = func() bool { return time.Since(began) < tt.busy }
				cancel()
				if b.await(make(chan struct{})) {
					t.Error("something has ended")
				}
				if took := time.Since(began); took < tt.want || took > tt.want+2*time.Second {
					t.Errorf("waited %v, want %v", took, tt.want)
				}
				if last := time.Since(f.last()); last > 2*feedEvery || f.pause() > 2*feedEvery {
					t.Errorf("last fed %v ago, with pauses of up to %v", last, f.pause())
				}
				<-unwell
				time.Sleep(overwriteTime + 2*downTime)
			})
		})
	}
}

// A start that does not end is ended by the watchdog.
func TestWatchdogOfAnEndlessStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feeds{t: t}
		began := time.Now()
		newWatchdog(f.keepAlive, slog.New(slog.DiscardHandler))
		time.Sleep(2 * startTime)
		synctest.Wait()
		if fed := f.at[len(f.at)-1].Sub(began); fed < startTime-2*time.Second || fed > startTime+time.Second || f.pause() > 2*feedEvery {
			t.Errorf("fed for %v with pauses of up to %v", fed, f.pause())
		}
	})
	var none *watchdog
	none.takeOver()
	none.feed()
}

func TestIsPress(t *testing.T) {
	event := func(kind, code uint16, value uint32) []byte {
		e := make([]byte, 16, eventSize)
		e = binary.LittleEndian.AppendUint16(e, kind)
		e = binary.LittleEndian.AppendUint16(e, code)
		return binary.LittleEndian.AppendUint32(e, value)
	}
	for _, tt := range []struct {
		event []byte
		want  bool
	}{
		{event(evKey, keyPower, 1), true}, {event(evKey, keyPower, 0), false}, {event(evKey, keyPower, 2), false},
		{event(evKey, 30, 1), false}, {event(0, keyPower, 1), false},
	} {
		if got := isPress(tt.event); got != tt.want {
			t.Errorf("%X: %v, want %v", tt.event[16:], got, tt.want)
		}
	}
}

func TestRTCTime(t *testing.T) {
	at := time.Date(2026, 3, 4, 1, 6, 7, 8, time.FixedZone("CET", 3600))
	got := *rtcTime(at)
	if want := (unix.RTCTime{Sec: 7, Min: 6, Hour: 0, Mday: 4, Mon: 2, Year: 126}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPort(t *testing.T) {
	for listen, want := range map[string]int{"": 7777, "0.0.0.0:8000": 8000, "[::]:1": 1, "0.0.0.0:0": 7777, "nonsense": 7777} {
		if got := (configuration{Listen: listen}).port(); got != want {
			t.Errorf("%q: %d, want %d", listen, got, want)
		}
	}
}

func TestReportProcesses(t *testing.T) {
	proc := t.TempDir()
	for pid, files := range map[string][2]string{
		"1":  {"/gokrazy/init\x00", "Name:\tinit\nUid:\t0\t0\t0\t0\nThreads:\t9\nVmRSS:\t    6000 kB\n"},
		"2":  {"", "Name:\tkthreadd\nUid:\t0\t0\t0\t0\nThreads:\t1\n"},
		"70": {daemonProgram + "\x00-box\x00", "Name:\tappliance\nUid:\t7777\t7777\t7777\t7777\nThreads:\t7\nVmRSS:\t 9000 kB\nSeccomp:\t2\n"},
	} {
		dir := filepath.Join(proc, pid)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"cmdline", "status"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(files[i]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got strings.Builder
	reportProcesses(&got, proc)
	want := "report process 1 0 9 6000 init\nreport process 70 7777 7 9000 appliance\n"
	if text := got.String(); !strings.HasPrefix(text, want) || !strings.Contains(text, "report daemon Seccomp 2\n") || strings.Contains(text, "kthreadd") {
		t.Errorf("got:\n%s", text)
	}
}

func TestReportSockets(t *testing.T) {
	dir := t.TempDir()
	text := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1E61 00000000:0000 0A 00000000:00000000 00:00000000 00000000  7777        0 1 1
   1: 0100007F:1E61 0100007F:9999 01 00000000:00000000 00:00000000 00000000  7777        0 1 1
   2: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
`
	if err := os.WriteFile(filepath.Join(dir, "tcp"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	reportSockets(&got, dir, "tcp")
	reportSockets(&got, dir, "tcp6") // the kernel may not have it
	if want := "report socket tcp *:7777 7777\nreport socket tcp 0100007F:80 0\n"; got.String() != want {
		t.Errorf("got:\n%swant:\n%s", got.String(), want)
	}
}

// give makes files another user's, but not those that have a second name or
// lead away.
func TestGive(t *testing.T) {
	if os.Getuid() != 0 {
		needs.Missing(t, "needs root, to give files away")
	}
	dir := t.TempDir()
	state, foreign := filepath.Join(dir, "state"), filepath.Join(dir, "foreign")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{foreign, filepath.Join(state, "own")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(foreign, filepath.Join(state, "second")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(foreign, filepath.Join(state, "link")); err != nil {
		t.Fatal(err)
	}
	if err := give(state); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{state: 7777, filepath.Join(state, "own"): 7777, foreign: 0, filepath.Join(state, "link"): 0} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := owner(info); got != want {
			t.Errorf("%s is of user %d, want %d", path, got, want)
		}
	}
}

// An update on trial is known as such even where nothing is known of the slots.
func TestOnTrial(t *testing.T) {
	for _, tt := range []struct {
		name  string
		slots *trial.Card
		env   string
		want  bool
	}{
		{"no update", &trial.Card{Running: slots.A, Started: slots.A}, "", false},
		{"trial", &trial.Card{Running: slots.B, Started: slots.A}, "", true},
		{"nothing is known", nil, "", false},
		{"nothing is known but the guard", nil, "17", true},
	} {
		t.Setenv(trial.GuardEnv, tt.env)
		b := &box{slots: tt.slots}
		if got := b.permOptions().Trial; got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
