package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
)

// readBinary asks the scripted card for 16 bytes.
const readBinary = "00B0000010"

// BenchmarkReaders compares programs of libpcsclite with clients of a TSES, on
// the same cards behind the same pcscd, in turns:
//
//	direct    a program of libpcsclite, one call after the other
//	single    a RACS client, one APDU per request
//	batch     a RACS client, 100 APDUs per request
//
// each once, and eight at a time on eight cards. Of each it reports commands in
// a second as a share of the direct way's (x-direct), and the processor time of
// the TSES for a command (us-CPU): the median of all turns, of which -benchtime
// says how many.
func BenchmarkReaders(b *testing.B) {
	if !vpcd.Isolated(b) {
		return
	}
	w := newReadersBench(b)
	got := make(map[string][]float64)
	note := func(what string, n int, v float64) {
		what = fmt.Sprintf(what, n)
		got[what] = append(got[what], v)
	}
	for b.Loop() {
		for n, each := range map[int]int{1: 2000, 8: 500} {
			direct := w.directly(n, each)
			note("direct%d/s", n, direct)
			for way, size := range map[string]int{"single": 1, "batch": 100} {
				rate, cpu := w.through(n, each, size)
				note(way+"%d-x-direct", n, rate/direct)
				note(way+"%d-us-CPU", n, cpu)
			}
		}
	}
	for what, values := range got {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], what)
	}
}

// readersBench is the stage of BenchmarkReaders.
type readersBench struct {
	testing.TB
	tses    *tses
	direct  direct
	readers []string
	clients []*client
}

// newReadersBench puts eight cards into readers, and a TSES and eight clients
// before them.
func newReadersBench(b *testing.B) *readersBench {
	b.Helper()
	w := &readersBench{TB: b, direct: buildDirect(b)}
	p := vpcd.Start(b, "ABCD")
	config := new(strings.Builder)
	for i := range 8 {
		slot := fmt.Sprintf("%c%d", 'A'+i/2, i%2)
		p.Insert(slot, newSIM())
		w.readers = append(w.readers, p.Reader(slot))
		fmt.Fprintf(config, "[[element]]\nseid = \"sim%d\"\ndriver = \"pcsc\"\nreader = %q\n", i, p.Reader(slot))
	}
	var err error
	if w.tses, err = startTSES(filepath.Join(b.TempDir(), "state"), "-config", writeConfig(b, config.String())); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := w.tses.stop(os.Interrupt); err != nil {
			b.Error(err)
		}
	})
	for i := range w.readers {
		c := w.tses.mustOpen(b, "user")
		w.clients = append(w.clients, c)
		c.wantSoon(b, "+008 001 ", fmt.Sprintf("POWERON sim%d", i)) // pcscd notices the cards by and by
		c.want(b, "+007 001 ", fmt.Sprintf("SHUTDOWN sim%d", i))
	}
	return w
}

// directly is the commands in a second of n programs, count each.
func (w *readersBench) directly(n, count int) float64 {
	w.Helper()
	spans := make([]span, n)
	w.all(n, func(i int) (err error) {
		spans[i], err = w.direct.run(w.Context(), w.readers[i], count, readBinary)
		return err
	})
	return float64(n*count) / over(spans).seconds()
}

// through is the commands in a second of n clients, count each, size per request,
// and the processor time of the TSES for one in microseconds.
func (w *readersBench) through(n, count, size int) (rate, cpu float64) {
	w.Helper()
	w.all(n, func(i int) error { return w.clients[i].answers("+008", fmt.Sprintf("POWERON sim%d", i)) })
	before, began := w.tses.busy(w), time.Now()
	w.all(n, func(i int) error {
		return w.clients[i].work(fmt.Sprintf("APDU sim%d %s APPEND\r\n", i, readBinary), count, size)
	})
	took, busy := time.Since(began), w.tses.busy(w)-before
	w.all(n, func(i int) error { return w.clients[i].answers("+007", fmt.Sprintf("SHUTDOWN sim%d", i)) })
	return float64(n*count) / took.Seconds(), float64(busy.Microseconds()) / float64(n*count)
}

// all runs f n times at a time.
func (w *readersBench) all(n int, f func(i int) error) {
	w.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		w.Fatalf("%v\n%s", err, w.tses.log)
	}
}

// answers asks until the answer begins as it should: a program that has ended may
// have its card for a moment yet.
func (c *client) answers(prefix, command string) error {
	for end := time.Now().Add(bound); ; time.Sleep(20 * time.Millisecond) {
		got, err := c.ask(command)
		if err == nil && strings.HasPrefix(got, prefix) {
			return nil
		}
		if err != nil || time.Now().After(end) {
			return fmt.Errorf("%s: %q, %w", command, got, err)
		}
	}
}

// work sends a line count times, size in a request.
func (c *client) work(line string, count, size int) error {
	request := []byte("BEGIN r\r\n" + strings.Repeat(line, size) + "END\r\n")
	for range count / size {
		if _, err := c.Write(request); err != nil {
			return err
		}
		if err := c.takes(size); err != nil {
			return err
		}
	}
	return nil
}

// takes reads an answer with n results.
func (c *client) takes(n int) error {
	for good := 0; ; {
		line, err := c.in.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case bytes.HasPrefix(line, []byte("+006")):
			good++
		case bytes.HasPrefix(line, []byte("END")) && good == n:
			return nil
		case !bytes.HasPrefix(line, []byte("BEGIN")):
			return fmt.Errorf("%d results, then %q", good, line)
		}
	}
}

// busy is the processor time that the TSES has taken (proc_pid_stat(5)).
func (s *tses) busy(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name, in brackets, may have spaces; utime and stime are the 14th and
	// 15th field.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const tick = 10 * time.Millisecond
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick
}
