//go:build linux

package pcsclite_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/pcsclite"
	"github.com/cloud-of-se/tses/pcsclite/pcsctest"
	"golang.org/x/sys/unix"
)

// insideEnv says that the test runs in namespaces of its own.
const insideEnv = "PCSCLITE_TEST_INSIDE"

// TestClientWithPCSCD talks to pcscd with its virtual reader. pcscd has one
// place for its socket and the reader one TCP port: the test runs itself again
// in a mount and a network namespace, where nothing of the machine's is
// touched.
func TestClientWithPCSCD(t *testing.T) {
	t.Parallel()
	pcscd := pcsctest.Need(t, "pcscd", "pcscd")
	unshare := pcsctest.Need(t, "unshare", "util-linux")
	const config = "/etc/reader.conf.d/vpcd"
	if _, err := os.Stat(config); err != nil {
		pcsctest.Missing(t, config+" (Debian package vsmartcard-vpcd)")
	}
	space := []string{"--mount", "--net", "--kill-child"}
	if os.Getuid() != 0 {
		space = append(space, "--map-root-user")
	}
	if out, err := exec.Command(unshare, append(space, "true")...).CombinedOutput(); err != nil {
		pcsctest.Missing(t, fmt.Sprintf("the right to make namespaces (%s)", bytes.TrimSpace(out)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, unshare, append(space, os.Args[0], "-test.run=^TestInsideWithPCSCD$", "-test.v")...)
	cmd.Env = append(os.Environ(), insideEnv+"="+pcscd)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInsideWithPCSCD") {
		t.Fatalf("inside: %v\n%s", err, out)
	}
	t.Logf("inside:\n%s", out)
}

// TestInsideWithPCSCD is run by TestClientWithPCSCD and does nothing else.
func TestInsideWithPCSCD(t *testing.T) {
	pcscd := os.Getenv(insideEnv)
	if pcscd == "" {
		return
	}
	startPCSCD(t, pcscd)
	se := driverstest.NewScripted(driverstest.Options{})
	card := plugCard(t, se)
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	var c *pcsclite.Client
	eventually(t, "pcscd answers", func() (ok bool) {
		var err error
		c, err = pcsclite.Dial(ctx, pcsclite.DefaultPath)
		return err == nil
	})
	defer c.Close()
	major, minor := c.Version()
	t.Logf("pcscd speaks %d:%d", major, minor)
	reader := waitForCard(t, ctx, c, pcsclite.Present)
	talk(t, ctx, c, reader)
	each := pcsctest.NewProber(t).Measure(t, pcsctest.Target{Reader: reader}, 500, "00A4040000", "00B0000003")
	t.Logf("an APDU through pcscd and its virtual reader takes %v", each)
	card.Close()
	waitForCard(t, ctx, c, pcsclite.Absent)
	if err := c.Release(ctx); err != nil {
		t.Error(err)
	}
}

// startPCSCD runs pcscd in the foreground, with a /run of its own.
func startPCSCD(t *testing.T, pcscd string) {
	t.Helper()
	for _, m := range []error{
		syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""),
		os.MkdirAll(filepath.Dir(pcsclite.DefaultPath), 0o755),
		loopbackUp(),
	} {
		if m != nil {
			t.Fatal(m)
		}
	}
	var out bytes.Buffer
	cmd := exec.Command(pcscd, "--foreground")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // its status on a signal is no news
		if t.Failed() {
			t.Logf("pcscd said:\n%s", out.String())
		}
	})
}

// loopbackUp switches the loopback interface of a new network namespace on.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// plugCard connects an SE to the virtual reader, vpcd, as the card in it.
// Closing the connection pulls the card out.
func plugCard(t *testing.T, se drivers.SE) net.Conn {
	t.Helper()
	var conn net.Conn
	eventually(t, "the virtual reader listens", func() bool {
		var err error
		conn, err = net.Dial("tcp", "127.0.0.1:35963")
		return err == nil
	})
	done := make(chan error, 1)
	go func() { done <- playCard(conn.(*net.TCPConn), se) }()
	t.Cleanup(func() {
		conn.Close()
		if err := <-done; err != nil {
			t.Errorf("the card in the virtual reader: %v", err)
		}
	})
	return conn
}

// The messages of one byte by which vpcd controls its card.
const (
	vpcdOff, vpcdOn, vpcdReset, vpcdATR = 0, 1, 2, 4
)

// playCard answers vpcd: each message is two bytes of length, big endian, and
// as many bytes.
func playCard(conn *net.TCPConn, se drivers.SE) error {
	ctx, atr := context.Background(), []byte(nil)
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	for {
		// vpcd writes length and message apart; without a quick
		// acknowledgement of the first the second waits for 40 ms.
		err := raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
		var head [2]byte
		if err == nil {
			_, err = io.ReadFull(conn, head[:])
		}
		message := make([]byte, binary.BigEndian.Uint16(head[:]))
		if err == nil {
			_, err = io.ReadFull(conn, message)
		}
		switch {
		case errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF):
			return nil // pulled out, or pcscd has ended
		case err != nil:
			return err
		case len(message) != 1:
			message, err = se.Transmit(ctx, message)
		case message[0] == vpcdOff:
			message, err = nil, se.PowerOff(ctx)
		case message[0] == vpcdOn:
			message = nil
			atr, err = se.PowerOn(ctx)
		case message[0] == vpcdReset:
			message = nil
			atr, err = se.PowerOn(ctx)
		case message[0] == vpcdATR:
			if atr == nil {
				if atr, err = se.PowerOn(ctx); err == nil {
					err = se.PowerOff(ctx)
				}
			}
			message = atr
		}
		if err != nil {
			return err
		}
		if message == nil {
			continue
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)); err != nil {
			return nil // pulled out
		}
	}
}

func waitForCard(t *testing.T, ctx context.Context, c *pcsclite.Client, want pcsclite.Status) string {
	t.Helper()
	var known []pcsclite.ReaderState
	for {
		states, err := c.Watch(ctx, known)
		if err != nil {
			t.Fatalf("no reader became %#x: %v; %+v", want, err, known)
		}
		for _, s := range states {
			if s.Status&want != 0 && (want == pcsclite.Absent || len(s.ATR) > 0) && strings.HasSuffix(s.Name, "00 00") {
				return s.Name
			}
		}
		known = states
	}
}

// talk makes every request of the client.
func talk(t *testing.T, ctx context.Context, c *pcsclite.Client, reader string) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	conn, err := c.Connect(ctx, reader, pcsclite.Shared, pcsclite.ProtocolAny)
	must("connect", err)
	must("begin", conn.Begin(ctx))
	for _, n := range []int{16, 256} {
		got, err := conn.Transmit(ctx, []byte{0x80, 0x10, byte(n >> 8), byte(n), byte(n)})
		if err != nil || len(got) != n+2 {
			t.Errorf("GET of %d bytes: %d bytes, %v", n, len(got), err)
		}
	}
	got, err := conn.Transmit(ctx, []byte{0x80, 0x10, 0x10, 0x00, 0, 0x10, 0x00})
	if err != nil || len(got) != 0x1002 {
		t.Errorf("extended: %d bytes, %v", len(got), err)
	}
	must("end", conn.End(ctx, pcsclite.Leave))
	must("status", conn.Status(ctx))
	const tagATR = 0x0303 // all that the virtual reader's driver knows
	if atr, err := conn.Attrib(ctx, tagATR); err != nil || len(atr) == 0 {
		t.Errorf("ATR: %X, %v", atr, err)
	}
	if err := conn.SetAttrib(ctx, pcsclite.AttrMaxInput, []byte{1}); err == nil {
		t.Error("an attribute of the reader could be set")
	}
	if _, err := conn.Control(ctx, 0x42000001, nil); err == nil {
		t.Error("an unknown control code did well")
	}
	if features, err := conn.Control(ctx, pcsclite.GetFeatureRequest, nil); err == nil {
		t.Logf("features: %X", features)
	}
	must("reconnect", conn.Reconnect(ctx, pcsclite.Exclusive, pcsclite.ProtocolAny, pcsclite.Reset))
	other, err := pcsclite.Dial(ctx, pcsclite.DefaultPath)
	must("second context", err)
	defer other.Close()
	if _, err := other.Connect(ctx, reader, pcsclite.Shared, pcsclite.ProtocolAny); !errors.Is(err, pcsclite.ESharingViolation) {
		t.Errorf("connect beside an exclusive one: %v, want %v", err, pcsclite.ESharingViolation)
	}
	must("disconnect", conn.Disconnect(ctx, pcsclite.Unpower))
	_, err = other.Connect(ctx, "no such reader", pcsclite.Shared, pcsclite.ProtocolAny)
	if !errors.Is(err, pcsclite.EUnknownReader) {
		t.Errorf("connect to no reader: %v, want %v", err, pcsclite.EUnknownReader)
	}
	cancelWatch(t, ctx, other)
}

// cancelWatch ends a wait from another goroutine. pcscd answers with an invalid
// handle as long as nobody waits.
func cancelWatch(t *testing.T, ctx context.Context, c *pcsclite.Client) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		known, err := c.Readers(ctx)
		for err == nil {
			known, err = c.Watch(ctx, known)
		}
		ended <- err
	}()
	for {
		if err := c.Cancel(ctx); err != nil && !errors.Is(err, pcsclite.EInvalidHandle) {
			t.Fatalf("cancel: %v", err)
		}
		select {
		case err := <-ended:
			if !errors.Is(err, pcsclite.ECancelled) {
				t.Errorf("the wait ended with %v, want %v", err, pcsclite.ECancelled)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
