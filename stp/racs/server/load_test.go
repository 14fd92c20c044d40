package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/racs/racstest"
	"github.com/cloud-of-se/tses/stp/racs/server"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// loadServer tells the test program, started again, to be the server, of which a
// credential can have so many sessions; 0 for the default.
const loadServer = "TSES_LOAD_SERVER"

// loaded is a server in a process of its own, so that its memory can be told from
// the clients'.
type loaded struct {
	t    *testing.T
	pid  int
	addr string
	conf map[string]*tls.Config // by credential
}

func startLoaded(t *testing.T) *loaded {
	t.Helper()
	return startLoadedWith(t, 0)
}

func startLoadedWith(t *testing.T, sessions int) *loaded {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe, "-test.run=^TestServeLoad$", "-test.v")
	child.Env = append(os.Environ(), loadServer+"="+strconv.Itoa(sessions), "GOGC=50") // as the appliance sets it
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // ends it
		child.Wait()
	})
	l := &loaded{t: t, pid: child.Process.Pid, conf: make(map[string]*tls.Config)}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "credential":
			name, file, _ := strings.Cut(rest, " ")
			pair, err := tls.LoadX509KeyPair(file, file)
			if err != nil {
				t.Fatal(err)
			}
			l.conf[name] = &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}
		case "address":
			l.addr = rest
			return l
		}
	}
	t.Fatal("the server did not start")
	return nil
}

// TestServeLoad is the server of startLoaded.
func TestServeLoad(t *testing.T) {
	if os.Getenv(loadServer) == "" {
		t.Log("runs as the child of the load tests only")
		return
	}
	sessions, err := strconv.Atoi(os.Getenv(loadServer))
	if err != nil {
		t.Fatal(err)
	}
	ts := stptest.Start(t, stptest.Options{
		SEs: map[string]drivers.SE{"se0": newInstant()}, Handler: &server.Server{},
		Limits: stp.Limits{CredentialSessions: sessions},
	})
	fmt.Printf("\ncredential admin %s\n", ts.CredentialFile("admin", access.Administrative))
	for i := range 6 {
		name := fmt.Sprint("user", i)
		fmt.Printf("credential %s %s\n", name, ts.CredentialFile(name, access.User))
	}
	fmt.Printf("address %s\n", ts.Addr)
	io.Copy(io.Discard, os.Stdin)
}

// peak is the most memory in RAM that the server has had, in MB.
func (l *loaded) peak() int { return l.memory("VmHWM:") >> 10 }

// memory is a line of the server's status, in KiB.
func (l *loaded) memory(what string) int {
	l.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.pid))
	if err != nil {
		needs.Missing(l.t, "the memory of a process is read from /proc: "+err.Error())
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[0] == what {
			kb, err := strconv.Atoi(fields[1])
			if err != nil {
				l.t.Fatal(err)
			}
			return kb
		}
	}
	l.t.Fatal("no " + what)
	return 0
}

// administrator tells how soon an administrator gets in, and is answered.
func (l *loaded) administrator() time.Duration {
	l.t.Helper()
	begun := time.Now()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.addr, l.conf["admin"])
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	const answer = "BEGIN \r\n+002 001 0.3\r\nEND\r\n"
	pingPong(l.t, c, []byte("BEGIN\r\nGET-VERSION\r\nEND\r\n"), make([]byte, len(answer)))
	return time.Since(begun)
}

// administratorSoon is the best of three times: the machine has other things to
// do, too.
func (l *loaded) administratorSoon() {
	l.t.Helper()
	best := time.Hour
	for range 3 {
		if best = min(best, l.administrator()); best < time.Second {
			break
		}
	}
	l.t.Logf("an administrator gets in after %v", best)
	if best >= time.Second {
		l.t.Error("want less than a second")
	}
}

// stopping writes so much of what is sent behind the ClientHello, and stops.
type stopping struct {
	net.Conn
	left  int
	hello bool
}

func (s *stopping) Write(b []byte) (int, error) {
	if !s.hello {
		s.hello = true
		return s.Conn.Write(b)
	}
	if len(b) > s.left {
		s.Conn.Write(b[:s.left])
		s.left = 0
		return 0, io.ErrClosedPipe
	}
	s.left -= len(b)
	return s.Conn.Write(b)
}

const mostMemory = 64 // MB

// raced says that the race detector is at work, which takes several times the
// memory for itself: how much there is says nothing then.
var raced bool

// 1,024 clients that stop in the middle of a certificate message of 252,000 bytes
// leave the server small and open to others.
func TestHalfOpenCertificates(t *testing.T) {
	l := startLoaded(t)
	big := l.conf["user0"].Clone()
	cert := big.Certificates[0]
	for n := 0; n < 252000; n += len(cert.Certificate[0]) {
		cert.Certificate = append(cert.Certificate, l.conf["user0"].Certificates[0].Certificate[0])
	}
	big.Certificates = nil
	big.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	const n, workers = 1024, 64
	var clients sync.WaitGroup
	conns := make(chan net.Conn, n)
	for range workers {
		clients.Go(func() {
			for i := range n / workers {
				raw, err := net.Dial("tcp", l.addr)
				if err != nil {
					t.Error(err)
					return
				}
				conns <- raw
				// Most stop within what they may send, some do not.
				s := &stopping{Conn: raw, left: 15000}
				if i%8 == 0 {
					s.left = 200000
				}
				raw.SetWriteDeadline(time.Now().Add(time.Second)) // the server need not read all of it
				tls.Client(s, big).Handshake()
			}
		})
	}
	clients.Wait()
	l.administratorSoon()
	t.Logf("at most %d MB", l.peak())
	if l.peak() >= mostMemory && !raced {
		t.Errorf("the server has had %d MB, want less than %d", l.peak(), mostMemory)
	}
	close(conns)
	for c := range conns {
		c.Close()
	}
}

// 300 sessions of five credentials that take all that they can, lines that do not
// end and answers that they do not read, leave the server small.
func TestGreedySessions(t *testing.T) {
	l := startLoaded(t)
	line := []byte("BEGIN a\r\nECHO " + strings.Repeat("e", 180<<10) + " APPEND\r\n")
	greed := append(bytes.Repeat(append(line[9:len(line):len(line)], '\n'), 4), line[9:len(line)-10]...)
	greed = append([]byte("BEGIN a\r\n"), greed...)
	var clients sync.WaitGroup
	var conns [300]net.Conn
	for w := range 20 {
		clients.Go(func() {
			for i := w; i < len(conns); i += 20 {
				c, err := tls.Dial("tcp", l.addr, l.conf[fmt.Sprint("user", i%5)])
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = c
				c.SetWriteDeadline(time.Now().Add(2 * time.Second)) // the server need not read all of it
				c.Write(greed)
			}
		})
	}
	clients.Wait()
	l.administratorSoon()
	t.Logf("at most %d MB", l.peak())
	if l.peak() >= mostMemory && !raced {
		t.Errorf("the server has had %d MB, want less than %d", l.peak(), mostMemory)
	}
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
}

// A session in which nothing happens takes no more than what the appliance counts
// for it, its handshake's garbage included: nobody calls the collector.
func TestIdleMemory(t *testing.T) {
	const n, workers, most = 1000, 8, 40 // KiB, as sessionMemory of the appliance
	l := startLoadedWith(t, n)
	l.administrator() // what is made once is there
	before := l.memory("VmRSS:")
	var clients sync.WaitGroup
	conns := make(chan net.Conn, n)
	for range workers {
		clients.Go(func() {
			for range n / workers {
				c, err := tls.Dial("tcp", l.addr, l.conf["user0"])
				if err != nil {
					t.Error(err)
					return
				}
				conns <- c
				if _, err := io.WriteString(c, "BEGIN\r\nEND\r\n"); err != nil {
					t.Error(err)
				}
				if got := racstest.ReadAnswer(t, c); !strings.HasPrefix(got, "BEGIN \r\n+001 ") {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	clients.Wait()
	each := float64(l.memory("VmRSS:")-before) / n
	t.Logf("%.1f KiB for each of %d sessions", each, n)
	if each > most && !raced {
		t.Errorf("a session takes %.1f KiB, want %d at most", each, most)
	}
	close(conns)
	for c := range conns {
		c.Close()
	}
}
