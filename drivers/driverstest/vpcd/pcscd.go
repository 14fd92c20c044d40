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

	// exchangeTime is more than pcscd needs to see a reader empty.
	exchangeTime = 900 * time.Millisecond
)

// slots is how many readers one copy of vpcd's driver has. More readers are
// more copies: what it knows of them is in variables of the library.
const slots = 2

// PCSCD is a pcscd with virtual readers, in the namespaces of an isolated test.
// A reader is named by a letter, A to H, for its driver, and a digit, 0 or 1,
// for its slot: "A0".
type PCSCD struct {
	t    testing.TB
	dir  string
	pcsd *exec.Cmd
	log  *lockedBuffer
	done chan struct{}
	last map[string]*Card // that was inserted into each reader
}

// Start runs a pcscd with the two virtual readers of each driver, until the
// test ends: "AB" brings A0, A1, B0 and B1.
func Start(t testing.TB, drivers string) *PCSCD {
	t.Helper()
	p := &PCSCD{t: t, dir: t.TempDir(), log: new(lockedBuffer), last: make(map[string]*Card)}
	p.Restart(drivers)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("pcscd said:\n%s", p.log)
		}
	})
	return p
}

// Reader is pcscd's name of a reader: that of B1 is "Virtual PCD B 00 01". pcscd
// counts the readers of each driver from 00 on.
func (p *PCSCD) Reader(reader string) string {
	return fmt.Sprintf("Virtual PCD %c 00 %02X", reader[0], reader[1]-'0')
}

// Addr is where the card of a reader connects to. It does not depend on the
// order of the drivers.
func (p *PCSCD) Addr(reader string) string {
	return fmt.Sprintf("127.0.0.1:%d", port(reader[0])+int(reader[1]-'0'))
}

func port(driver byte) int { return firstPort + slots*int(driver-'A') }

// Restart runs pcscd with the drivers, and their order, that are asked for. It
// must not run.
func (p *PCSCD) Restart(drivers string) {
	p.t.Helper()
	conf := filepath.Join(p.dir, "reader.conf")
	p.check(os.WriteFile(conf, []byte(p.config(drivers)), 0o600))
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
	for _, driver := range drivers {
		for slot := range slots {
			reader := fmt.Sprintf("%c%d", driver, slot)
			p.await("reader "+reader, func() bool { return listens(p.Addr(reader)) })
		}
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
func (p *PCSCD) config(drivers string) string {
	var conf strings.Builder
	code, err := os.ReadFile(vpcdDriver)
	p.check(err)
	for _, driver := range []byte(drivers) {
		file := filepath.Join(p.dir, fmt.Sprintf("libifdvpcd%c.so", driver))
		if _, err := os.Stat(file); err != nil {
			p.check(os.WriteFile(file, code, 0o755))
		}
		fmt.Fprintf(&conf, "FRIENDLYNAME \"Virtual PCD %c\"\nDEVICENAME /dev/null:0x%X\nLIBPATH %s\nCHANNELID 0x%X\n\n", driver, port(driver), file, port(driver))
	}
	return conf.String()
}

// listens tells whether vpcd is there, without being a card to it: the port is
// looked up in the kernel's table.
func listens(addr string) bool {
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

// Insert puts a card into a reader until the test ends, or it is pulled. pcscd
// notices by and by. A reader that had a card gets the next one no faster than a
// hand exchanges them: pcscd looks at its readers every 400 ms, and one whose
// card failed and was exchanged between two looks stays empty for it.
func (p *PCSCD) Insert(reader string, se drivers.SE) *Card {
	p.t.Helper()
	if last := p.last[reader]; last != nil {
		<-last.Gone()
		time.Sleep(time.Until(last.left.Add(exchangeTime)))
	}
	card, err := Insert(p.t.Context(), p.Addr(reader), se)
	p.check(err)
	p.last[reader] = card
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
	p.await("the stop of pcscd", func() bool { return stopped(p.pcsd.Process.Pid) })
	return func() { p.check(p.pcsd.Process.Signal(syscall.SIGCONT)) }
}

// stopped tells whether all threads of a process have taken a stop signal.
func stopped(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, thread := range threads {
		// The state follows the name, which is in brackets.
		text, err := os.ReadFile(thread)
		if i := bytes.LastIndexByte(text, ')'); err != nil || !bytes.HasPrefix(text[i+1:], []byte(" T")) {
			return false
		}
	}
	return true
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
