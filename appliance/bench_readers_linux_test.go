package main

import (
	"bytes"
	"context"
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
// a second as a share of the direct way's (x-direct), the median of the turns,
// and the processor time of the TSES for a command (us-CPU).
func BenchmarkReaders(b *testing.B) {
	if !vpcd.Isolated(b) {
		return
	}
	const turns, batch = 7, 100
	p := vpcd.Start(b, "ABCD")
	config := new(strings.Builder)
	var readers []string
	for i := range 8 {
		slot := fmt.Sprintf("%c%d", 'A'+i/2, i%2)
		p.Insert(slot, newSIM())
		readers = append(readers, p.Reader(slot))
		fmt.Fprintf(config, "[[element]]\nseid = \"sim%d\"\ndriver = \"pcsc\"\nreader = %q\n", i, p.Reader(slot))
	}
	d := buildDirect(b)
	s, err := startTSES(filepath.Join(b.TempDir(), "state"), "-config", writeConfig(b, config.String()))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.stop(os.Interrupt); err != nil {
			b.Error(err)
		}
	}()
	w := readersBench{TB: b, tses: s, direct: d, readers: readers}
	for range 8 {
		w.clients = append(w.clients, s.mustOpen(b, "user"))
	}
	time.Sleep(time.Second) // pcscd notices the cards
	for b.Loop() {
		for _, n := range []int{1, 8} {
			took := make(map[string][]float64)
			cpu := make(map[string][]float64)
			for range turns {
				direct := w.directly(n, 2000/n)
				for way, size := range map[string]int{"single": 1, "batch": batch} {
					rate, busy := w.through(n, 2000/n/size*size, size)
					took[way] = append(took[way], rate/direct)
					cpu[way] = append(cpu[way], busy)
				}
				took["direct"] = append(took["direct"], direct)
			}
			b.ReportMetric(median(took["direct"]), fmt.Sprintf("direct%d/s", n))
			for _, way := range []string{"single", "batch"} {
				b.ReportMetric(median(took[way]), fmt.Sprintf("%s%d-x-direct", way, n))
				b.ReportMetric(median(cpu[way]), fmt.Sprintf("%s%d-us-CPU", way, n))
			}
		}
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// readersBench is the stage of BenchmarkReaders.
type readersBench struct {
	testing.TB
	tses    *tses
	direct  direct
	readers []string
	clients []*client
}

// directly is the commands in a second of n programs, count each.
func (w *readersBench) directly(n, count int) float64 {
	w.Helper()
	rates := make([]float64, n)
	w.all(n, func(i int) error {
		ns, err := w.direct.run(w.Context(), w.readers[i], count, readBinary)
		rates[i] = 1e9 / ns
		return err
	})
	sum := 0.0
	for _, rate := range rates {
		sum += rate
	}
	return sum
}

// through is the commands in a second of n clients, count each, size per request,
// and the processor time of the TSES for one in microseconds.
func (w *readersBench) through(n, count, size int) (rate, cpu float64) {
	w.Helper()
	rates := make([]float64, n)
	before := w.tses.busy(w)
	w.all(n, func(i int) (err error) {
		rates[i], err = w.clients[i].rate(w.Context(), fmt.Sprintf("sim%d", i), count, size)
		return err
	})
	for _, r := range rates {
		rate += r
	}
	return rate, float64((w.tses.busy(w) - before).Microseconds()) / float64(n*count)
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

// rate powers an SE on, sends commands and powers it off. It is the commands in a
// second between the two.
func (c *client) rate(_ context.Context, seid string, count, size int) (float64, error) {
	for end := time.Now().Add(bound); ; {
		got, err := c.ask("POWERON " + seid)
		if err != nil || time.Now().After(end) {
			return 0, fmt.Errorf("POWERON %s: %q, %w", seid, got, err)
		}
		if strings.HasPrefix(got, "+008") {
			break
		}
		time.Sleep(20 * time.Millisecond) // the program before it is about to go
	}
	request := []byte("BEGIN r\r\n" + strings.Repeat("APDU "+seid+" "+readBinary+" APPEND\r\n", size) + "END\r\n")
	began := time.Now()
	for range count / size {
		if _, err := c.Write(request); err != nil {
			return 0, err
		}
		if err := c.takes(size); err != nil {
			return 0, err
		}
	}
	took := time.Since(began)
	if got, err := c.ask("SHUTDOWN " + seid); err != nil || !strings.HasPrefix(got, "+007") {
		return 0, fmt.Errorf("SHUTDOWN %s: %q, %w", seid, got, err)
	}
	return float64(count) / took.Seconds(), nil
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
