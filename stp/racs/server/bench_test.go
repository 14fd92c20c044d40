package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs/racstest"
	"github.com/cloud-of-se/tses/stp/racs/server"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// instant is an SE that costs nothing, so that what is measured is the server.
type instant struct{ answer []byte }

func newInstant() *instant { return &instant{answer: append(make([]byte, 16), 0x90, 0x00)} }

func (*instant) PowerOn(context.Context) ([]byte, error) {
	return []byte{0x3B, 0x80, 0x01, 0x81}, nil
}

func (*instant) Reset(context.Context, drivers.ResetKind) ([]byte, error) {
	return []byte{0x3B, 0x80, 0x01, 0x81}, nil
}
func (se *instant) Transmit(context.Context, []byte) ([]byte, error) { return se.answer, nil }
func (*instant) PowerOff(context.Context) error                      { return nil }
func (*instant) String() string                                      { return "instant" }

// The bytes of one request with one APDU, and of its answer.
const (
	oneRequest = "BEGIN r\r\nAPDU se0 00B0000010\r\nEND\r\n"
	oneAnswer  = "BEGIN r\r\n+006 001 000000000000000000000000000000009000\r\nEND\r\n"
)

func startInstant(b testing.TB, n int) (*stptest.TSES, tls.Certificate) {
	ses := make(map[string]drivers.SE)
	for i := range n {
		ses[fmt.Sprintf("se%d", i)] = newInstant()
	}
	ts := stptest.Start(b, stptest.Options{SEs: ses, Handler: &server.Server{}})
	return ts, ts.Credential("bench", access.User)
}

// pingPong sends a message and reads the answer of a known length.
func pingPong(b testing.TB, c net.Conn, send []byte, answer []byte) {
	if _, err := c.Write(send); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil {
		b.Fatal(err)
	}
}

// barePingPong is a TLS 1.3 server that answers each message of n bytes with
// a fixed one: the limit for a server of the same bytes.
func barePingPong(b testing.TB, ts *stptest.TSES, cert tls.Certificate, n int, answer []byte) net.Conn {
	own, err := ts.Authority.ServerCertificate([]string{"localhost", "127.0.0.1", "::1"})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*own}, MinVersion: tls.VersionTLS13})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return // the benchmark is over
		}
		defer c.Close()
		for msg := make([]byte, n); ; {
			if _, err := io.ReadFull(c, msg); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}()
	c, err := tls.Dial("tcp", ln.Addr().String(), ts.TLS(cert))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

// BenchmarkRACS prints the limit and the server side by side, in one run.
func BenchmarkRACS(b *testing.B) {
	ts, cert := startInstant(b, 8)
	b.Run("tls-ping-pong", func(b *testing.B) {
		c := barePingPong(b, ts, cert, len(oneRequest), []byte(oneAnswer))
		answer := make([]byte, len(oneAnswer))
		pingPong(b, c, []byte(oneRequest), answer)
		for b.Loop() {
			pingPong(b, c, []byte(oneRequest), answer)
		}
	})
	b.Run("one-apdu-per-request", func(b *testing.B) { benchOne(b, ts, cert) })
	b.Run("100-apdus-per-request", func(b *testing.B) { benchBatch(b, ts, cert, 100) })
	b.Run("8-sessions-8-ses", func(b *testing.B) { benchSessions(b, ts, cert, 8) })
	b.Run("echo", func(b *testing.B) {
		c := ts.Dial(cert)
		send := []byte("BEGIN r\r\nECHO hello\r\nEND\r\n")
		answer := make([]byte, len("BEGIN r\r\n+009 001 hello\r\nEND\r\n"))
		for b.Loop() {
			pingPong(b, c, send, answer)
		}
	})
	b.Run("connect-version-close", func(b *testing.B) {
		send := []byte("BEGIN r\r\nGET-VERSION\r\nEND\r\n")
		answer := make([]byte, len("BEGIN r\r\n+002 001 0.3\r\nEND\r\n"))
		for b.Loop() {
			c, err := tls.Dial("tcp", ts.Addr, ts.TLS(cert))
			if err != nil {
				b.Fatal(err)
			}
			pingPong(b, c, send, answer)
			c.Close()
		}
	})
}

func powerOn(b testing.TB, c net.Conn, seid string) {
	if _, err := fmt.Fprintf(c, "BEGIN\r\nPOWERON %s\r\nEND\r\n", seid); err != nil {
		b.Fatal(err)
	}
	if got := racstest.ReadAnswer(b, c); !strings.Contains(got, "+008") {
		b.Fatalf("POWERON: %q", got)
	}
}

func powerOff(b testing.TB, c net.Conn, seid string) {
	fmt.Fprintf(c, "BEGIN\r\nSHUTDOWN %s\r\nEND\r\n", seid)
	racstest.ReadAnswer(b, c)
}

func benchOne(b *testing.B, ts *stptest.TSES, cert tls.Certificate) {
	c := ts.Dial(cert)
	powerOn(b, c, "se0")
	defer powerOff(b, c, "se0")
	answer := make([]byte, len(oneAnswer))
	pingPong(b, c, []byte(oneRequest), answer)
	if string(answer) != oneAnswer {
		b.Fatalf("got %q", answer)
	}
	// The limit is measured in turns with the server: what else the machine
	// does then slows both.
	bare := barePingPong(b, ts, cert, len(oneRequest), []byte(oneAnswer))
	const turn = 50
	var limit, own time.Duration
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if i/turn%2 == 0 {
			pingPong(b, bare, []byte(oneRequest), answer)
			limit += time.Since(start)
		} else {
			pingPong(b, c, []byte(oneRequest), answer)
			own += time.Since(start)
		}
	}
	if own > 0 {
		b.ReportMetric(float64(limit)/float64(own), "of-bare-tls")
	}
}

// batch is a request with n APDUs that are all answered, and the length of the
// answer.
func batch(n int) (request []byte, answer int) {
	var b bytes.Buffer
	b.WriteString("BEGIN r\r\n")
	for i := range n {
		b.WriteString("APDU se0 00B0000010 APPEND\r\n")
		answer += len(fmt.Sprintf("+006 %03d 000000000000000000000000000000009000\r\n", i+1))
	}
	b.WriteString("END\r\n")
	return b.Bytes(), answer + len("BEGIN r\r\nEND\r\n")
}

func benchBatch(b *testing.B, ts *stptest.TSES, cert tls.Certificate, n int) {
	c := ts.Dial(cert)
	powerOn(b, c, "se0")
	defer powerOff(b, c, "se0")
	request, size := batch(n)
	answer := make([]byte, size)
	pingPong(b, c, request, answer)
	b.ReportAllocs()
	for b.Loop() {
		pingPong(b, c, request, answer)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/apdu")
}

func benchSessions(b *testing.B, ts *stptest.TSES, cert tls.Certificate, n int) {
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = ts.Dial(cert)
		seid := fmt.Sprintf("se%d", i)
		powerOn(b, conns[i], seid)
		defer powerOff(b, conns[i], seid)
	}
	each := b.N/n + 1
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, c := range conns {
		request := []byte(strings.Replace(oneRequest, "se0", fmt.Sprintf("se%d", i), 1))
		wg.Go(func() {
			answer := make([]byte, len(oneAnswer))
			for range each {
				pingPong(b, c, request, answer)
			}
		})
	}
	wg.Wait()
}

// BenchmarkServerTime is what the server itself does for an APDU, without TLS
// and sockets: its time and its allocations.
func BenchmarkServerTime(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d-per-request", n), func(b *testing.B) {
			request, _ := batch(n)
			server.BenchSession(b, newInstant(), request)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/apdu")
		})
	}
}

// idleServer tells the test program, started again by TestIdleSessions, to be
// the server.
const idleServer = "TSES_IDLE_SERVER"

// BenchmarkIdleSessions measures the resident memory that a session takes in
// which nothing happens. The server is a process of its own, so that the
// clients' memory is not counted.
func BenchmarkIdleSessions(b *testing.B) {
	const n = 10000
	need := uint64(n + 200)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < need {
		b.Skipf("needs %d file descriptors, ulimit -n allows %d", need, files.Cur)
	}
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	child := exec.Command(exe, "-test.run=^TestServeIdle$", "-test.v")
	child.Env = append(os.Environ(), idleServer+"="+b.TempDir())
	stdin, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer child.Wait()
	defer stdin.Close() // ends the child
	conf, addr := idleClient(b, stdout)
	before := resident(b, child.Process.Pid)
	conns := make(chan net.Conn, n)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range n / 8 {
				c, err := tls.Dial("tcp", addr, conf)
				if err != nil {
					b.Error(err)
					return
				}
				pingPong(b, c, []byte("BEGIN\r\nEND\r\n"), make([]byte, len("BEGIN \r\n+001 000 ready\r\nEND\r\n")))
				conns <- c
			}
		})
	}
	wg.Wait()
	close(conns)
	time.Sleep(time.Second) // for the collector of the server's garbage
	after := resident(b, child.Process.Pid)
	b.ReportMetric(float64(after)/(1<<20), "MB-resident")
	b.ReportMetric(float64(before)/(1<<20), "MB-before")
	b.ReportMetric(float64(after-before)/n, "bytes/session")
	b.ReportMetric(0, "ns/op")
	for c := range conns {
		c.Close()
	}
}

// idleClient reads from the child what it takes to connect to it.
func idleClient(b *testing.B, stdout io.Reader) (*tls.Config, string) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "address "); ok {
			lines.Scan()
			pem, err := os.ReadFile(lines.Text())
			if err != nil {
				b.Fatal(err)
			}
			cert, err := tls.X509KeyPair(pem, pem)
			if err != nil {
				b.Fatal(err)
			}
			return &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}, addr
		}
	}
	b.Fatal("the server did not start")
	return nil, ""
}

// TestServeIdle is the server of BenchmarkIdleSessions.
func TestServeIdle(t *testing.T) {
	if os.Getenv(idleServer) == "" {
		t.Log("runs as the child of BenchmarkIdleSessions only")
		return
	}
	ts := stptest.Start(t, stptest.Options{Handler: &server.Server{}, Limits: stp.Limits{CredentialSessions: 16384}})
	fmt.Printf("\naddress %s\n%s\n", ts.Addr, ts.CredentialFile("idle", access.User))
	stop := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			runtime.GC() // an idle server's collector runs every two minutes
		}
	}
}

// resident is a process's memory in RAM, in bytes.
func resident(b *testing.B, pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Skipf("resident memory is read from /proc: %v", err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		b.Fatal(err)
	}
	return pages * os.Getpagesize()
}
