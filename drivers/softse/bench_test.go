package softse

import (
	"context"
	"testing"
)

func benchmark(b *testing.B, commands ...string) {
	c := newCard(b, testOpts(nil))
	var all [][]byte
	for _, s := range commands {
		all = append(all, unhex(b, s))
	}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		for _, command := range all {
			if _, err := c.Transmit(ctx, command); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkSelect(b *testing.B)       { benchmark(b, selectTest) }
func BenchmarkSelectISD(b *testing.B)    { benchmark(b, selectISD) }
func BenchmarkGetChallenge(b *testing.B) { benchmark(b, "0084000008") }
func BenchmarkUnknown(b *testing.B)      { benchmark(b, "00EE0000") }

func BenchmarkSecureChannel(b *testing.B) {
	c := newCard(b, testOpts(nil))
	b.ReportAllocs()
	for b.Loop() {
		dialISD(b, c)
	}
}

func BenchmarkWrappedGetData(b *testing.B) {
	a := dialISD(b, newCard(b, testOpts(nil)))
	b.ReportAllocs()
	for b.Loop() {
		a.expect("80CA0042", "", "420454534553"+"9000")
	}
}
