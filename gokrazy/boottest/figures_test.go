package boottest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var figuresFile = flag.String("figures", "", "the `file` that TestFigures writes its table to")

// TestFigures measures the card that users make, at rest, and writes a table:
//
//	go test ./gokrazy/boottest -run TestFigures -args -figures FILE
//
// What depends on the machine that emulates is shown and not judged.
func TestFigures(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	card := shared.Card(ctx, t)
	var starts []time.Duration
	for range 3 {
		starts = append(starts, firstAnswer(ctx, t, Options{Card: card}))
	}
	slices.Sort(starts)
	m := Start(ctx, t, Options{Card: card, Append: []string{withReport}})
	r := m.report(ctx, t)
	m.PowerCut()
	var resident int
	for _, p := range r.processes {
		resident += p.rss
	}
	listening := 0
	for _, s := range r.sockets {
		if strings.HasPrefix(s, "tcp") {
			listening++
		}
	}
	var table strings.Builder
	table.WriteString("| Figure | Measured | To reach |\n|---|---|---|\n")
	row := func(what, to, format string, args ...any) {
		fmt.Fprintf(&table, "| %s | %s | %s |\n", what, fmt.Sprintf(format, args...), to)
	}
	row("Power to the first RACS answer, `-M virt`, median of 3", "< 6 s", "%.1f s (%.1f to %.1f)",
		starts[1].Seconds(), starts[0].Seconds(), starts[2].Seconds())
	row("Root file system", "< 15 MB", "%.1f MB", float64(card.RootBytes)/1e6)
	row("Memory that the whole box has taken, at rest", "", "%.1f MiB", float64(r.memory["MemTotal"]-r.memory["MemAvailable"])/1024)
	row("of it resident in processes", "", "%.1f MiB", float64(resident)/1024)
	row("Processes", "2", "%d", len(r.processes))
	row("TCP sockets that listen", "1", "%d", listening)
	t.Logf("\n%s", &table)
	if card.RootBytes >= 15e6 || len(r.processes) != 2 || listening != 1 {
		t.Error("a figure is beyond what it has to be")
	}
	if *figuresFile != "" {
		if err := os.WriteFile(*figuresFile, []byte(table.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// firstAnswer boots a card, waits for its list of SEs, and says how long that
// took from power on.
func firstAnswer(ctx context.Context, t *testing.T, o Options) time.Duration {
	t.Helper()
	m := Start(ctx, t, o)
	defer m.PowerCut()
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.List(ctx); err != nil {
		t.Fatal(err)
	}
	return time.Since(m.Began)
}
