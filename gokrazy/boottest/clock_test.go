package boottest

import (
	"context"
	"testing"
	"time"
)

// A box without a real-time clock and without a time server starts in 1970. It
// takes the time of its build, lets its owner in, and says what it has not
// judged.
func TestClockOf1970(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	card := shared.Card(ctx, t)
	disk := card.Copy(t)
	m := Start(ctx, t, Options{Card: card, Disk: disk, Args: []string{"-rtc", "base=1970-01-01T00:00:00"}})
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	usePIV(ctx, t, client)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	said, err := m.Await(ctx, `this machine has lost the time.* was=1970-01-01T\S+ time=(\S+)`)
	if err != nil {
		t.Fatal(err)
	}
	began := parseTime(t, said[1])
	if time.Since(began) > 24*time.Hour || time.Until(began) > time.Hour {
		t.Errorf("the clock starts at %v, want when the card was made", began)
	}
	for _, pattern := range []string{`no time server has answered yet`, `the clock is not set: of the dates`} {
		if _, err := m.Await(ctx, pattern); err != nil {
			t.Error(err)
		}
	}
	time.Sleep(2 * time.Second)
	m.switchOff(ctx, t)

	// The next time it does not start before it was switched off, network or
	// not.
	m = Start(ctx, t, Options{Card: card, Disk: disk, NoNetwork: true, Args: []string{"-rtc", "base=1970-01-01T00:00:00"}})
	if _, err := m.Await(ctx, `RACS ready on `); err != nil {
		t.Fatal(err)
	}
	if said, err = m.Await(ctx, `this machine has lost the time.* time=(\S+)`); err != nil {
		t.Fatal(err)
	}
	if again := parseTime(t, said[1]); !again.After(began) {
		t.Errorf("the clock starts at %v again, it had been %v", again, began)
	}
	if _, err := m.Await(ctx, `network: not connected.*no network interface`); err != nil {
		t.Error(err)
	}
}

func parseTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// switchOff presses the power button and waits until the machine is off.
func (m *Machine) switchOff(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := m.PowerButton(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Ended():
	case <-time.After(time.Minute):
		t.Fatalf("the box does not switch itself off:\n%s", m.Console())
	}
	m.PowerCut() // nothing to cut: gives the next machine its turn
}

// A clock that is years ahead, whoever has set it, shuts out no administrator, and
// is forgotten at the next start: it was not the box that has lived so long.
func TestClockAhead(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	card := shared.Card(ctx, t)
	disk := card.Copy(t)
	m := Start(ctx, t, Options{Card: card, Disk: disk, Args: []string{"-rtc", "base=" + time.Now().AddDate(15, 0, 0).UTC().Format("2006-01-02T15:04:05")}})
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	usePIV(ctx, t, client)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if _, err := m.Await(ctx, `the clock is not proven: the dates of this certificate are not judged.*client=admin`); err != nil {
		t.Error(err)
	}
	m.switchOff(ctx, t)
	m = Start(ctx, t, Options{Card: card, Disk: disk, NoNetwork: true, Args: []string{"-rtc", "base=1970-01-01T00:00:00"}})
	said, err := m.Await(ctx, `this machine has lost the time.* time=(\S+)`)
	if err != nil {
		t.Fatal(err)
	}
	if again := parseTime(t, said[1]); time.Until(again) > time.Hour {
		t.Errorf("the clock starts at %v, where it was forged to", again)
	}
}
