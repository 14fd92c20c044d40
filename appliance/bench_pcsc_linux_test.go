package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest/vpcd"
)

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
	counter := buildDirect(b).args("", count, readBinary)
	ways := map[string][]string{
		"a": counter,
		"b": append([]string{racs, "pcsc", "sim1", "--"}, counter...),
		"c": append([]string{racs, "pcsc", "soft1", "--"}, counter...),
	}
	run := func(way string) float64 {
		cmd := exec.CommandContext(b.Context(), ways[way][0], ways[way][1:]...)
		cmd.Env = append(os.Environ(), "RACS_SERVER="+s.addr, "RACS_CA="+s.file("ca.pem"), "RACS_CRED="+s.file("credentials/user.pem"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("%s: %v\n%s\n%s", way, err, out, s.log)
		}
		took, err := spanIn(out)
		if err != nil {
			b.Fatal(err)
		}
		return took.seconds() / count * 1e6
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
