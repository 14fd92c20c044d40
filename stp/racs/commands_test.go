package racs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/stp/racs"
)

func TestCommands(t *testing.T) {
	atr := []byte{0x3B, 0x80, 0x01}
	tests := []struct {
		name, command, answer string
		call                  func(context.Context, *racs.Client) (any, error)
		want                  any
	}{
		{"version", "GET-VERSION", "+002 001 0.3", func(ctx context.Context, c *racs.Client) (any, error) { return c.Version(ctx) }, "0.3"},
		{"list", "LIST", "+004 001 soft1 soft2 ", func(ctx context.Context, c *racs.Client) (any, error) { return c.List(ctx) }, []string{"soft1", "soft2"}},
		{"list of none", "LIST", "+004 001", func(ctx context.Context, c *racs.Client) (any, error) { return c.List(ctx) }, []string{}},
		{"echo", "ECHO hello", "+009 001 hello", func(ctx context.Context, c *racs.Client) (any, error) { return c.Echo(ctx, "hello") }, "hello"},
		{"power on", "POWERON s", "+008 001 s is powered on, ATR 3B8001", func(ctx context.Context, c *racs.Client) (any, error) { return c.PowerOn(ctx, "s") }, atr},
		{"power on elsewhere", "POWERON s", "+008 001 SEID s has been powered on", func(ctx context.Context, c *racs.Client) (any, error) { return c.PowerOn(ctx, "s") }, []byte(nil)},
		{"shutdown", "SHUTDOWN s", "+007 001 off", func(ctx context.Context, c *racs.Client) (any, error) { return nil, c.Shutdown(ctx, "s") }, nil},
		{"reset", "RESET s", "+005 001 s was reset, ATR 3b8001", func(ctx context.Context, c *racs.Client) (any, error) { return c.Reset(ctx, "s", false) }, atr},
		{"warm reset", "RESET s WARM", "+005 001 s was reset, ATR unknown", func(ctx context.Context, c *racs.Client) (any, error) { return c.Reset(ctx, "s", true) }, []byte(nil)},
		{"APDU", "APDU s 00A40400023F00", "+006 001 6f009000", func(ctx context.Context, c *racs.Client) (any, error) { return c.Transmit(ctx, "s", selectMF) }, []byte{0x6F, 0, 0x90, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client, server := newFake(t, racs.Options{})
			sent := make(chan []string, 1)
			go func() { sent <- server.answer(test.answer) }()
			got, err := test.call(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := <-sent; len(got) != 1 || got[0] != test.command {
				t.Errorf("sent %q, want %q", got, test.command)
			}
		})
	}
}

// TestTransmitRaw: RAW is asked for, and left out for the rest of the session of a
// server that does not know it; what else a server refuses is no reason to.
func TestTransmitRaw(t *testing.T) {
	const raw, plain = "APDU s 00A40400023F00 RAW", "APDU s 00A40400023F00"
	type exchange struct{ want, answer string }
	for name, tt := range map[string]struct {
		calls []bool // what of them succeeds
		wire  []exchange
	}{
		"a server that knows it": {[]bool{true, true}, []exchange{{raw, "+006 001 6C26"}, {raw, "+006 001 6C26"}}},
		"one that does not": {[]bool{true, true}, []exchange{
			{raw, "-406 001 option \"RAW\""}, {plain, "+006 001 9000"}, {plain, "+006 001 9000"}}},
		"no such SEID": {[]bool{false, true}, []exchange{
			{raw, "-406 001 no such SEID"}, {plain, "-406 001 no such SEID"}, {raw, "+006 001 6C26"}}},
		"powered off": {[]bool{false, true}, []exchange{{raw, "-306 001 off"}, {raw, "+006 001 6C26"}}},
		"mute":        {[]bool{false}, []exchange{{raw, "-806 001 mute"}}},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := newFake(t, racs.Options{})
			sent := make(chan string, len(tt.wire))
			go func() {
				for _, x := range tt.wire {
					sent <- strings.Join(server.answer(x.answer), "|")
				}
			}()
			for i, well := range tt.calls {
				if _, err := client.TransmitRaw(t.Context(), "s", selectMF); (err == nil) != well {
					t.Errorf("call %d: %v", i, err)
				}
			}
			for i, x := range tt.wire {
				if got := <-sent; got != x.want {
					t.Errorf("request %d: %q, want %q", i, got, x.want)
				}
			}
		})
	}
}

func TestTransmitRefusesWhatIsNoResponse(t *testing.T) {
	for _, answer := range []string{"+006 001", "+006 001 90", "+006 001 900", "+006 001 zz", "+006 001 90 00"} {
		client, server := newFake(t, racs.Options{})
		go server.answer(answer)
		if got, err := client.Transmit(t.Context(), "s", selectMF); !errors.Is(err, racs.ErrNotRACS) {
			t.Errorf("%s: got %X, %v, want ErrNotRACS", answer, got, err)
		}
	}
}

func TestErrorsNameTheSE(t *testing.T) {
	client, server := newFake(t, racs.Options{})
	go server.answer("-708 001 soft1 is in use")
	_, err := client.PowerOn(t.Context(), "soft1")
	if want := "power on soft1: POWERON: soft1 is in use (-708)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestBatch(t *testing.T) {
	client, server := newFake(t, racs.Options{})
	go func() {
		var lines []string
		name, commands := server.request()
		for i, command := range commands {
			if !strings.HasSuffix(command, " APPEND") {
				t.Errorf("command %q is not kept", command)
			}
			lines = append(lines, fmt.Sprintf("+006 %03d %04X9000\r\n", i+1, i))
		}
		server.send("BEGIN %s\r\n%sEND\r\n", name, strings.Join(lines, ""))
	}()
	commands := [][]byte{selectMF, selectMF, selectMF}
	got, err := client.Batch(t.Context(), "s", commands, racs.APDUOptions{})
	want := [][]byte{{0, 0, 0x90, 0}, {0, 1, 0x90, 0}, {0, 2, 0x90, 0}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestBatchFailsInTheMiddle(t *testing.T) {
	tests := []struct {
		name    string
		lines   []string
		answers int
		says    string
		is      error
	}{
		{"with the results before it", []string{"+006 001 9000", "+006 002 9001", "-806 003 mute"}, 2, "APDU 3 of 4 to s", racs.Status{Class: 8, Verb: racs.APDU, Line: 3, Text: "mute"}},
		{"without them", []string{"-806 003 mute"}, 0, "APDU 3 of 4 to s", racs.Status{Class: 8, Verb: racs.APDU, Line: 3, Text: "mute"}},
		{"with a result missing", []string{"+006 001 9000", "+006 003 9001"}, 1, "out of its order", racs.ErrNotRACS},
		{"with too few", []string{"+006 001 9000"}, 1, "lacks its result", racs.ErrNotRACS},
		{"with a bad one", []string{"+006 001 9000", "+006 002 90"}, 1, "APDU 2 of 4", racs.ErrNotRACS},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client, server := newFake(t, racs.Options{})
			go server.answer(test.lines...)
			got, err := client.Batch(t.Context(), "s", [][]byte{selectMF, selectMF, selectMF, selectMF}, racs.APDUOptions{})
			if len(got) != test.answers || !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %X, %v, want %d answers and %v that says %q", got, err, test.answers, test.is, test.says)
			}
		})
	}
}

// A batch is cut so that no request is answered with more than the protocol's
// limit even if every answer is as long as its command allows.
func TestBatchIsCutToTheLimits(t *testing.T) {
	short := apdu.Command{CLA: 0, INS: 0xCA, Ne: 256}
	long := apdu.Command{CLA: 0, INS: 0xCA, Ne: 65536}
	tests := []struct {
		name     string
		command  apdu.Command
		commands int
		requests int
	}{
		{"many", short, 5000, 3},
		{"large", long, 20, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wire, err := test.command.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			client, server := newFake(t, racs.Options{})
			requests := make(chan int, 1)
			go func() {
				n := 0
				defer func() { requests <- n }()
				for done := 0; done < test.commands; n++ {
					name, commands := server.request()
					if len(commands) == 0 {
						return
					}
					text := strings.Repeat("00", test.command.Ne) + "9000"
					var answer strings.Builder
					fmt.Fprintf(&answer, "BEGIN %s\r\n", name)
					for i := range commands {
						if answer.Len()+2*apdu.MaxResponse+64 > racs.MaxAnswer {
							t.Errorf("command %d of a request has no room for the longest response", i+1)
						}
						fmt.Fprintf(&answer, "+006 %03d %s\r\n", i+1, text)
					}
					if answer.Len() > racs.MaxAnswer {
						t.Errorf("%d commands are answered with %d bytes", len(commands), answer.Len())
					}
					server.send("%sEND\r\n", answer.String())
					done += len(commands)
				}
			}()
			got, err := client.Batch(t.Context(), "s", slicesRepeat(wire, test.commands), racs.APDUOptions{})
			if err != nil || len(got) != test.commands || !bytes.HasSuffix(got[len(got)-1], []byte{0x90, 0}) {
				t.Errorf("got %d answers, %v", len(got), err)
			}
			if n := <-requests; n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

func slicesRepeat(b []byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = b
	}
	return all
}
