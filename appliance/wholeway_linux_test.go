package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers/driverstest/cardsim"
	"github.com/cloud-of-se/tses/drivers/driverstest/cardvm"
	"github.com/cloud-of-se/tses/drivers/driverstest/pivwalk"
	"github.com/cloud-of-se/tses/stp/racs"
)

// TestWholeWay goes from a RACS client to a card and back: TLS, the TSES with
// its configuration file, the driver, the kernel's tty driver and a card at the
// far end of the serial port. The TSES is in a virtual machine with the kernel
// of the SD card; the card, which has the software SE in it, and the client are
// not.
func TestWholeWay(t *testing.T) {
	kernel := cardvm.Kernel(t)
	brain, err := pivwalk.NewBrain(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := brain.Close(); err != nil {
			t.Error(err)
		}
	})
	state := filepath.Join(t.TempDir(), "state")
	if status, _, text := runOnce(t, "-state", state, "-listen", "127.0.0.1:0"); status != exitOK {
		t.Fatalf("the state is not made: %s", text)
	}
	addr, files := freeAddress(t), filesOf(t, state)
	files[guestConfig] = []byte(`
listen = "0.0.0.0:` + guestPort + `"
[[element]]
seid = "soft1"
driver = "softse"
[[element]]
seid = "card1"
driver = "iso7816"
device = "/dev/ttyAMA0"
clock_pin = "external"
clock = "` + guestClock.String() + `"
reset = "RTS"
`)
	atr := cardsim.WithTA1(false, 0x97, 255, 1) // T=1, 64 clocks in 512 per etu, shortest guard time
	m := cardvm.Start(t, cardvm.Guest{
		Kernel: kernel, Program: cardvm.Build(t, "test", "-c", "."), Files: files,
		Args: append(slices.Clone(cardvm.Virt), "-chardev", "file,id=log,path=log",
			"-netdev", "user,id=net,restrict=on,hostfwd=tcp:"+addr+"-:"+guestPort+",guestfwd=tcp:"+guestLog+"-chardev:log",
			"-device", "virtio-net-pci,netdev=net,romfile="),
		Append: "ip=dhcp " + guestEnv + "=1",
		Card:   cardsim.Options{Brain: brain, ATR: atr},
	}, 2*bound)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the guest's log:\n%s%s", read(m.File("log")), m.Console())
		}
	})
	awaitLog(t, m, `(?m)^RACS ready on `)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	client := dial(ctx, t, addr, state)
	useCard(ctx, t, client, "card1", atr)

	// The settings before PPS, and after it with one stop bit as N = 255 has it.
	for _, want := range []string{"rate=10323 parity=true odd=false two_stop_bits=true", "rate=480000 parity=true odd=false two_stop_bits=false"} {
		awaitLog(t, m, "msg=tty "+want)
	}
}

// useCard does what a user does.
func useCard(ctx context.Context, t *testing.T, client *racs.Client, seid string, wantATR []byte) {
	t.Helper()
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

func dial(ctx context.Context, t *testing.T, addr, state string) *racs.Client {
	t.Helper()
	cas, err := racs.LoadCA(filepath.Join(state, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	credential, err := racs.LoadCredential(filepath.Join(state, "credentials", "user.pem"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := racs.Dial(ctx, addr, racs.ClientConfig(cas, credential, ""), racs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// awaitLog waits until a line of the guest's log matches.
func awaitLog(t *testing.T, m *cardvm.Machine, pattern string) {
	t.Helper()
	line := regexp.MustCompile(pattern)
	for deadline := time.After(bound); !line.MatchString(read(m.File("log"))); {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-m.Ended:
			t.Fatal("QEMU ended early")
		case <-deadline:
			t.Fatalf("nothing matches %s", pattern)
		}
	}
}

// read is what a file holds, or why it cannot be told.
func read(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Sprintln(err)
	}
	return string(text)
}

// freeAddress is one of loopback that nothing listens on. Until QEMU does,
// somebody else could take it; then QEMU ends and says so.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// filesOf is the state directory as it is to be in the guest.
func filesOf(t *testing.T, state string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	root := os.DirFS(state)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path.Join(guestState, name)], err = fs.ReadFile(root, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
