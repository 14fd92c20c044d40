//go:build linux

package vpcd

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
)

const (
	socket    = "/run/pcscd/pcscd.comm"
	firstPort = 0x8C7B
	startTime = 20 * time.Second
)

// slots is how many readers one copy of vpcd's driver has. More readers are
// more copies: what it knows of them is in variables of the library.
const slots = 2

// PCSCD is a pcscd with virtual readers, in the namespaces of an isolated test.
type PCSCD struct {
	t    testing.TB
	dir  string
	pcsd *exec.Cmd
	log  *lockedBuffer
	done chan struct{}
}

// Start runs a pcscd with an even number of virtual readers, 2 to 16, until
// the test ends. See [PCSCD.Reader] for their names.
func Start(t testing.TB, readers int) *PCSCD {
	t.Helper()
	p := &PCSCD{t: t, dir: t.TempDir(), log: new(lockedBuffer)}
	p.Restart(readers)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("pcscd said:\n%s", p.log)
		}
	})
	return p
}

// Reader is the name of the reader of a number from 0 on: "Virtual PCD A 00 00",
// "Virtual PCD A 00 01", "Virtual PCD B 01 00" and so on.
func (p *PCSCD) Reader(number int) string {
	return fmt.Sprintf("%s %02X %02X", friendly(number/slots), number/slots, number%slots)
}

func friendly(driver int) string { return "Virtual PCD " + string(rune('A'+driver)) }

// Restart runs pcscd, with as many readers as are asked for. It must not run.
func (p *PCSCD) Restart(readers int) {
	p.t.Helper()
	if readers < slots || readers%slots != 0 || readers > 16 {
		p.t.Fatalf("%d readers; want an even number from 2 to 16", readers)
	}
	conf := filepath.Join(p.dir, "reader.conf")
	p.check(os.WriteFile(conf, []byte(p.config(readers/slots)), 0o600))
	p.check(os.MkdirAll(filepath.Dir(socket), 0o755))
	p.pcsd = exec.Command(pcscd, "--foreground", "--info", "--config", conf)
	p.pcsd.Stdout, p.pcsd.Stderr = p.log, p.log
	p.pcsd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.check(p.pcsd.Start())
	p.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		// It ends by a signal: its error says nothing new.
		_ = cmd.Wait()
	}(p.pcsd, p.done)
	for number := range readers {
		p.await("reader "+p.Reader(number), func() bool { return answers(p.Addr(number)) })
	}
	p.await("the socket of pcscd", func() bool {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// config is the configuration of pcscd. Each driver is a copy of vpcd's.
func (p *PCSCD) config(drivers int) string {
	var conf strings.Builder
	driver, err := os.ReadFile(vpcdDriver)
	p.check(err)
	for i := range drivers {
		file := filepath.Join(p.dir, fmt.Sprintf("libifdvpcd%d.so", i))
		if _, err := os.Stat(file); err != nil {
			p.check(os.WriteFile(file, driver, 0o755))
		}
		port := firstPort + i*slots
		fmt.Fprintf(&conf, "FRIENDLYNAME %q\nDEVICENAME /dev/null:0x%X\nLIBPATH %s\nCHANNELID 0x%X\n\n", friendly(i), port, file, port)
	}
	return conf.String()
}

// answers tells whether vpcd listens, without being a card to it: the port is
// looked up in the kernel's table.
func answers(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		return false
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err == nil && bytes.Contains(text, fmt.Appendf(nil, ":%04X 0", number)) {
			return true
		}
	}
	return false
}

// Addr is where the card of a reader connects to.
func (p *PCSCD) Addr(reader int) string { return fmt.Sprintf("127.0.0.1:%d", firstPort+reader) }

// Insert puts a card into a reader until the test ends, or it is pulled. pcscd
// notices by and by.
func (p *PCSCD) Insert(reader int, se drivers.SE) *Card {
	p.t.Helper()
	card, err := Insert(p.t.Context(), p.Addr(reader), se)
	p.check(err)
	p.t.Cleanup(func() {
		// It may have gone with pcscd, which is no fault.
		_ = card.Pull()
	})
	return card
}

// Kill ends pcscd without a warning.
func (p *PCSCD) Kill() {
	p.t.Helper()
	if err := p.pcsd.Process.Kill(); err != nil && !strings.Contains(err.Error(), "finished") {
		p.t.Errorf("kill pcscd: %v", err)
	}
	<-p.done
}

// Stall stops pcscd in its tracks, and lets it go on when go is called.
func (p *PCSCD) Stall() (goOn func()) {
	p.t.Helper()
	p.check(p.pcsd.Process.Signal(syscall.SIGSTOP))
	return func() { p.check(p.pcsd.Process.Signal(syscall.SIGCONT)) }
}

func (p *PCSCD) await(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(startTime); !ok(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.done:
			p.t.Fatalf("pcscd ended before %s was there:\n%s", what, p.log)
		default:
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s is not there after %v:\n%s", what, startTime, p.log)
		}
	}
}

func (p *PCSCD) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// lockedBuffer is what pcscd says, the last of it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf.Len() > 1<<20 {
		b.buf.Reset()
	}
	return b.buf.Write(p)
}

// String is what is kept.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
