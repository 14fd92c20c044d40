//go:build pcsc

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ebfe/scard"

	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
)

// countVar says how many commands the program of the benchmark sends.
const countVar = "TSES_TEST_PCSC_COUNT"

// TestPCSCCounter is no test but a PC/SC program that sends commands one after
// another to the first reader.
func TestPCSCCounter(t *testing.T) {
	if os.Getenv(countVar) == "" {
		return
	}
	count, err := strconv.Atoi(os.Getenv(countVar))
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scard.EstablishContext()
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Release()
	readers, err := sc.ListReaders()
	if err != nil {
		t.Fatal(err)
	}
	card, err := sc.Connect(readers[0], scard.ShareShared, scard.ProtocolAny)
	if err != nil {
		t.Fatal(err)
	}
	read := []byte{0x00, 0xB0, 0x00, 0x00, 0x10}
	began := time.Now()
	for range count {
		if _, err := card.Transmit(read); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Printf("program: %d ns\n", time.Since(began).Nanoseconds()/int64(count))
	if err := card.Disconnect(scard.UnpowerCard); err != nil {
		t.Fatal(err)
	}
}

var perCommand = regexp.MustCompile(`program: (\d+) ns`)

// BenchmarkPCSC measures a command of a local libpcsclite program in
// microseconds, in turns:
//
//	a  through pcscd and vpcd to the card
//	b  through racs pcsc, a TSES on loopback, pcscd and vpcd to the same card
//	c  through racs pcsc and the TSES to a software SE
//
// It reports the median of the turns, and b/a.
func BenchmarkPCSC(b *testing.B) {
	if !vpcd.Isolated(b) {
		return
	}
	const turns, count = 7, 500
	racs := filepath.Join(b.TempDir(), "racs")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", racs, "../cmd/racs").CombinedOutput(); err != nil {
		b.Fatalf("go build ../cmd/racs: %v\n%s", err, out)
	}
	p := vpcd.Start(b, "A")
	p.Insert("A0", newSIM())
	config := filepath.Join(b.TempDir(), "tses.toml")
	if err := os.WriteFile(config, []byte(simConfig+"[[element]]\nseid = \"soft1\"\ndriver = \"softse\"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	s, err := startTSES(filepath.Join(b.TempDir(), "state"), "-config", config)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.stop(os.Interrupt); err != nil {
			b.Error(err)
		}
	}()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	counter := []string{program, "-test.run=^TestPCSCCounter$", "-test.count=1"}
	ways := map[string][]string{
		"a": counter,
		"b": append([]string{racs, "pcsc", "sim1", "--"}, counter...),
		"c": append([]string{racs, "pcsc", "soft1", "--"}, counter...),
	}
	run := func(way string) float64 {
		cmd := exec.CommandContext(b.Context(), ways[way][0], ways[way][1:]...)
		cmd.Env = append(os.Environ(), countVar+"="+strconv.Itoa(count),
			"RACS_SERVER="+s.addr, "RACS_CA="+s.file("ca.pem"), "RACS_CRED="+s.file("credentials/user.pem"))
		out, err := cmd.CombinedOutput()
		said := perCommand.FindSubmatch(out)
		if err != nil || said == nil {
			b.Fatalf("%s: %v\n%s\n%s", way, err, out, s.log)
		}
		ns, err := strconv.ParseFloat(string(said[1]), 64)
		if err != nil {
			b.Fatal(err)
		}
		return ns / 1000
	}
	time.Sleep(time.Second) // pcscd notices the card
	for b.Loop() {
		took := make(map[string][]float64)
		for range turns {
			for _, way := range []string{"a", "b", "c"} {
				took[way] = append(took[way], run(way))
			}
		}
		for way, all := range took {
			slices.Sort(all)
			b.ReportMetric(all[turns/2], way+"-us/APDU")
		}
		b.ReportMetric(took["b"][turns/2]/took["a"][turns/2], "b/a")
	}
}
