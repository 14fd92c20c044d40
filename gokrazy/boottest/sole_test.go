package boottest

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/gokrazy/internal/builder"
	"github.com/cloud-of-se/tses/stp/racs"
)

// What runs on the box, and what can be spoken to, is what has to be there and
// nothing else. This is the card that users make.
func TestSole(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	card := shared.Card(ctx, t)
	m := Start(ctx, t, Options{Card: card, Append: []string{withReport}})
	r := m.report(ctx, t)

	const user = 7777
	var names []string
	rss := 0
	for _, p := range r.processes {
		names = append(names, p.name)
		rss += p.rss
		if want := map[string]int{"init": 0, "appliance": user}[p.name]; p.uid != want {
			t.Errorf("%s runs as user %d, want %d", p.name, p.uid, want)
		}
	}
	if !slices.Equal(names, []string{"init", "appliance"}) {
		t.Errorf("processes %q, want init and appliance", names)
	}
	// UDP port 5353 is mDNS, which answers for the box's name.
	want := []string{"tcp *:7777 7777", "udp *:5353 0"}
	slices.Sort(r.sockets)
	if got := slices.Compact(r.sockets); !slices.Equal(got, want) {
		t.Errorf("sockets %q, want %q", got, want)
	}
	for key, want := range map[string]string{
		"NoNewPrivs": "1", "Seccomp": "2", "Groups": "",
		"CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapBnd": "0000000000000000",
	} {
		if got := strings.TrimSpace(r.daemon[key]); got != want {
			t.Errorf("the TSES's %s is %q, want %q", key, got, want)
		}
	}
	if strings.Contains(m.Console(), `msg="not confined"`) {
		t.Error("the kernel lacks a part of the confinement")
	}
	for path, mode := range r.files {
		if strings.HasPrefix(path, "/perm/tses") && (!strings.HasSuffix(mode, " 7777") || !strings.HasSuffix(strings.Fields(mode)[0], "------")) {
			t.Errorf("%s is %s, want it to be for the TSES alone", path, mode)
		}
	}
	strangers(ctx, t, m)
	taken := r.memory["MemTotal"] - r.memory["MemAvailable"]
	if taken <= 0 {
		t.Errorf("memory: %v", r.memory)
	}
	t.Logf("processes %d, TCP sockets that listen 1, resident memory of the processes %.1f MiB, of the whole box %.1f MiB",
		len(r.processes), float64(rss)/1024, float64(taken)/1024)
}

// strangers try to use a new box: with the credential of another owner, and
// with none. Nobody can use it but its owner.
func strangers(ctx context.Context, t *testing.T, m *Machine) {
	t.Helper()
	cas, err := racs.LoadCA(m.card.Owner.CA())
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := builder.OpenOwner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	another, err := racs.LoadCredential(other.Admin())
	if err != nil {
		t.Fatal(err)
	}
	for name, credential := range map[string]tls.Certificate{"another owner": another, "nobody": {}} {
		client, err := racs.Dial(ctx, m.Addr(), racs.ClientConfig(cas, credential, m.card.Name+".local"), racs.Options{})
		if err == nil {
			t.Errorf("%s is let in", name)
			err = client.Close()
		}
		if refused := new(racs.HandshakeError); !errors.As(err, &refused) {
			t.Errorf("%s: %v, want that the server refuses", name, err)
		}
	}
}
