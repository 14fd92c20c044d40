package boottest

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/stp/racs"
)

// cuts is how many times the power is cut: a few of each kind, or as many as
// are worth something where everything is asked for to its end.
func cuts() int {
	if needs.Full() {
		return 50
	}
	return 10
}

// The power is cut at random moments, while the box starts and while a user
// changes the PIN of an SE again and again. The box comes back each time, and
// with the PIN that was confirmed last, or the one that was under way.
func TestPowerCuts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(cuts())*time.Minute)
	defer cancel()
	card := shared.Card(ctx, t)
	fsck := e2fsck(t)
	disk := card.Copy(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	confirmed, serial, spent := 0, "", false
	for i := range cuts() {
		m := Start(ctx, t, Options{Card: card, Disk: disk})
		if i%3 == 2 { // while it starts
			select {
			case <-time.After(time.Duration(random.Int64N(int64(8 * time.Second)))):
			case <-m.Ended():
				t.Fatalf("the box ended:\n%s", m.Console())
			}
			m.PowerCut()
			continue
		}
		client, err := m.Dial(ctx)
		if err != nil {
			t.Fatalf("behind cut %d: %v", i, err)
		}
		if s := m.serverSerial(ctx, t); serial != "" && s != serial {
			t.Fatalf("behind cut %d: the box made another server certificate", i)
		} else {
			serial = s
		}
		confirmed = known(ctx, t, client, confirmed, spent)
		if spent = i%3 == 1; spent { // a try that was answered stays spent
			spend(ctx, t, client)
			m.PowerCut()
			_ = client.Close() // as below
			t.Logf("cut %d: behind a wrong PIN", i)
			continue
		}
		cut := time.AfterFunc(time.Duration(random.Int64N(int64(2*time.Second))), m.PowerCut)
		before := confirmed
		confirmed = changeUntilCut(ctx, t, client, confirmed)
		cut.Stop()
		m.PowerCut()
		// The server is gone: how the session ends tells nothing.
		_ = client.Close()
		t.Logf("cut %d: %d changes of the PIN", i, confirmed-before)
	}
	m := Start(ctx, t, Options{Card: card, Disk: disk})
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	known(ctx, t, client, confirmed, spent)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := m.PowerButton(ctx); err != nil {
		t.Fatal(err)
	}
	<-m.Ended()
	fsck(disk)
}

// known selects PIV and finds whether the card has the PIN that was confirmed
// last, or the next one, whose confirmation the cut may have swallowed. spent
// says that the cut came behind a wrong PIN.
func known(ctx context.Context, t *testing.T, client *racs.Client, confirmed int, spent bool) int {
	t.Helper()
	usePIV(ctx, t, client)
	card := piv{client, "soft1"}
	left := card.send(ctx, []byte{0x00, 0x20, 0x00, 0x80})
	if want := apdu.SW(0x63C2); left.err != nil || spent && left.sw != want {
		t.Errorf("tries left: %04X, %v; a wrong PIN had been answered, want %04X", uint16(left.sw), left.err, uint16(want))
	}
	for _, n := range []int{confirmed, confirmed + 1} {
		r := card.verify(ctx, pin(n))
		if r.err != nil {
			t.Fatal(r.err)
		}
		if r.sw == 0x9000 {
			return n
		}
	}
	t.Fatalf("the card has neither the PIN that was confirmed last, number %d, nor the next", confirmed)
	return 0
}

// spend spends one of the three tries for the PIN.
func spend(ctx context.Context, t *testing.T, client *racs.Client) {
	t.Helper()
	r := piv{client, "soft1"}.verify(ctx, pin(999_999))
	if r.err != nil || r.sw != 0x63C2 {
		t.Errorf("VERIFY of a wrong PIN: %04X, %v, want 63C2", uint16(r.sw), r.err)
	}
}

// changeUntilCut changes the PIN until there are no answers any more, and
// returns the number of the last that was confirmed.
func changeUntilCut(ctx context.Context, t *testing.T, client *racs.Client, n int) int {
	t.Helper()
	card := piv{client, "soft1"}
	for {
		r := card.changePIN(ctx, pin(n), pin(n+1))
		if r.err != nil {
			return n
		}
		r.must(t)
		n++
	}
}
