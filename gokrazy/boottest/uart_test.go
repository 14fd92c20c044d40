package boottest

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/pivwalk"
	"github.com/cloud-of-se/tses/gokrazy/internal/builder"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/stp/racs"
)

// reader is the SD card of a Raspberry Pi 3 with a card at its UART.
var reader = Shared{Options: builder.Options{Tags: []string{"boottest"}, Config: "testdata/card.toml", Board: "3b"}}

// TestCardOnUART goes the whole way: a RACS client, TLS, the TSES on its SD card
// with its configuration file, the driver, the kernel's tty driver, and a card
// at the far end of the serial port. config.txt, as the builder has written it,
// takes the UART away from Bluetooth. What is not as on a real box is that the
// card's contacts are in the stream of bytes.
func TestCardOnUART(t *testing.T) {
	disk := reader.Card(t.Context(), t)
	for _, program := range []string{"fdtoverlay", "fdtput"} {
		if _, err := exec.LookPath(program); err != nil {
			needs.Missing(t, program+" is missing: apt-get install device-tree-compiler")
		}
	}
	for _, tt := range []struct {
		name string
		t0   bool
		atr  []byte
		tty  []string // settings before PPS and behind it
	}{
		// T=1, 64 clocks in 512 per etu, shortest guard time: one stop bit as
		// N = 255 has it.
		{"T1", false, cardsim.WithTA1(false, 0x97, 255, 1), []string{
			"rate=10323 parity=true odd=false two_stop_bits=true", "rate=480000 parity=true odd=false two_stop_bits=false"}},
		{"T0", true, cardsim.WithTA1(false, 0x97, 0, 0), []string{
			"rate=10323 parity=true odd=false two_stop_bits=true", "rate=480000 parity=true odd=false two_stop_bits=true"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			brain, err := pivwalk.NewBrain(tt.t0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := brain.Close(); err != nil {
					t.Error(err)
				}
			})
			port := insertCard(t, cardsim.Options{Brain: brain, ATR: tt.atr})
			m := Start(ctx, t, Options{Card: disk, Board: Pi3, Port: port, Append: []string{"tses.contacts=stream"}})
			client, err := m.Dial(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			useCard(ctx, t, client, tt.atr)
			for _, want := range tt.tty {
				if _, err := m.Await(ctx, "tty device=/dev/ttyAMA0 "+want); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// insertCard puts a card where a machine's serial port will connect to.
func insertCard(t *testing.T, o cardsim.Options) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tses-port-*") // a test's own folder has too long a name for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	socket = filepath.Join(dir, "port")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var stream *cardsim.Stream
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return // the test has ended before the machine came
		}
		if stream, err = cardsim.Attach(conn, o, func(string) {}); err != nil {
			t.Errorf("attach the card: %v", err)
		}
	}()
	t.Cleanup(func() { // behind the machine's end, which is cleaned up before
		_ = listener.Close() // a machine that has not come by now will not
		<-ended
		if stream != nil {
			if err := stream.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return socket
}

// useCard does what a user does.
func useCard(ctx context.Context, t *testing.T, client *racs.Client, wantATR []byte) {
	t.Helper()
	const seid = "card1"
	seids, err := client.List(ctx)
	if err != nil || !slices.Equal(seids, []string{seid, "soft1"}) {
		t.Errorf("LIST: %q, %v", seids, err)
	}
	atr, err := client.PowerOn(ctx, seid)
	if err != nil || !bytes.Equal(atr, wantATR) {
		t.Fatalf("POWERON: %X, %v; want %X", atr, err, wantATR)
	}
	transmit := func(ctx context.Context, command []byte) ([]byte, error) { return client.Transmit(ctx, seid, command) }
	if err := pivwalk.Walk(ctx, transmit); err != nil {
		t.Error(err)
	}
	if atr, err := client.Reset(ctx, seid, true); err != nil || !bytes.Equal(atr, wantATR) {
		t.Errorf("warm RESET: %X, %v; want %X", atr, err, wantATR)
	}
	// FF is the byte that a tty marks by doubling it.
	if answer, err := transmit(ctx, append([]byte{0x00, 0xA4, 0x04, 0x00, 0x10}, bytes.Repeat([]byte{0xFF}, 16)...)); err != nil || len(answer) != 2 {
		t.Errorf("SELECT of what is not there: %X, %v", answer, err)
	}
	if err := client.Shutdown(ctx, seid); err != nil {
		t.Errorf("SHUTDOWN: %v", err)
	}
	if answer, err := transmit(ctx, []byte{0x00, 0xA4, 0x04, 0x00, 0x00}); err == nil {
		t.Errorf("a card that is off answers %X", answer)
	}
}
