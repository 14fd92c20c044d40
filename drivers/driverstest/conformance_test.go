package driverstest

import (
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

// TestConformance runs the body on the scripted cards, in bubbles.
func TestConformance(t *testing.T) {
	ex := func(name, command, want string) Exchange {
		return Exchange{Name: name, Command: unhex(t, command), Want: unhex(t, want)}
	}
	exchanges := []Exchange{
		ex("case 1", "805A6A82", "6A82"),
		ex("case 2 short", "00B0000008", pat(8)+"9000"),
		ex("case 2 short, 256", "00B0000000", pat(256)+"9000"),
		ex("case 3 short", "00D6000004 01020304", "9000"),
		ex("case 4 short", "80E0000004 0102030400", "01020304 9000"),
		ex("case 2 extended", "00B00000000000", pat(65536)+"9000"),
		ex("case 3 extended", "00D60000 000400"+pat(1024), "9000"),
		ex("case 4 extended", "80E00000 00FFFF"+pat(65535)+"0000", pat(65535)+"9000"),
		ex("61", "80610010", "6110"),
		ex("6C", "806C050009", "6C05"),
	}
	t0 := append(exchanges[:3:3], ex("case 3", "00D6000004 01020304", "9000"), ex("case 4", "80E0000004 0102030400", "6104"), ex("GET RESPONSE", "00C0000004", "01020304 9000"))
	t0[2] = ex("case 2", "8010000403", "6C04")
	for _, tt := range []struct {
		name string
		card Card
		do   []Exchange
		slow bool
	}{
		{"test card", TestCard, exchanges, true},
		{"T=0", T0Card, t0, true},
		{"challenge card", ChallengeCard, []Exchange{
			ex("select", "00A40400", "9000"),
			{Name: "challenge", Command: unhex(t, "0084000008"), Match: func(r []byte) bool { return len(r) == 10 }},
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var last *Scripted
			probe := Probe{Exchanges: tt.do, Bubble: true, Executed: func() int64 { return last.Counts().Commands }}
			if tt.slow {
				probe.Slow, probe.SlowTime = unhex(t, "80DD7530"), 30*time.Second
			}
			Conformance(t, func(t *testing.T) drivers.SE {
				last = NewScripted(Options{Card: tt.card})
				return last
			}, probe)
		})
	}
}
