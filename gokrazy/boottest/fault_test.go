package boottest

import (
	"context"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/internal/builder"
)

// faulty is a card whose programs fail when the kernel's command line asks. Its
// address is in its configuration.
var faulty = Shared{Options: builder.Options{Tags: []string{"boottest"}, Config: "testdata/static.toml"}}

// A TSES that crashes is started again, each time a little later.
func TestCrash(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	m := Start(ctx, t, Options{Card: faulty.Card(ctx, t), Append: []string{"tses.fault=crash"}})
	awaitAll(ctx, t, m,
		`(?s)RACS ready.*fault: crash.*the daemon has ended by itself.*exit status 2`,
		`(?s)RACS ready.*RACS ready.*RACS ready`)
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Logf("closed by a crash: %v", err)
	}
	awaitAll(ctx, t, m, `network interface=eth0 address=10\.0\.2\.15/24 gateway=10\.0\.2\.2 dns=\[10\.0\.2\.3\]`)
}

// A TSES that hangs is killed, and started again.
func TestHang(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	m := Start(ctx, t, Options{Card: faulty.Card(ctx, t), Append: []string{"tses.fault=hang"}})
	awaitAll(ctx, t, m, `(?s)RACS ready.*fault: as.*no heartbeat for 20s.*RACS ready`)
}

// Where init itself hangs, the hardware watchdog ends it: QEMU's, which the
// Raspberry Pi's kernel has a driver for, and which ends QEMU here.
func TestInitHangs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	m := Start(ctx, t, Options{
		Card: faulty.Card(ctx, t), Append: []string{"tses.starve=1"}, Args: []string{"-device", "i6300esb", "-action", "watchdog=reset"},
	})
	awaitAll(ctx, t, m, `hardware watchdog.*i6300ESB.*seconds=15`, `RACS ready`, `fault: init hangs`)
	select {
	case <-m.Ended():
	case <-time.After(2 * time.Minute):
		t.Error("the watchdog does not end a machine whose init hangs")
	}
}

func awaitAll(ctx context.Context, t *testing.T, m *Machine, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if _, err := m.Await(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
}
