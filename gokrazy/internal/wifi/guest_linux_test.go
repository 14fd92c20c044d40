package wifi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	route "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	guestEnv     = "TSES_WIFI_GUEST" // what this process is: "station", "ap", "drivers"
	guestModules = "/modules"
	guestHostapd = "/usr/sbin/hostapd"

	// What the console says.
	guestResult = "RESULT "
	guestFailed = " FAILED "
	guestNote   = "NOTE "
	guestEnd    = "END OF RESULTS"
)

// init makes the test's own program the first process of the virtual machines of
// [TestAccessPoints] and [TestDrivers], and the process with the access point in
// it.
func init() {
	role := os.Getenv(guestEnv)
	if role == "ap" {
		if err := beAccessPoint(os.Stdin, os.Stderr); err != nil {
			fmt.Println(guestNote, "access point:", err)
		}
		os.Exit(0)
	}
	if role == "" || os.Getpid() != 1 {
		return
	}
	err := mountAll()
	switch {
	case err != nil:
	case role == "station":
		err = beStation()
	default:
		tell("drivers", loadDrivers())
	}
	if err != nil {
		fmt.Println(guestNote, "the machine cannot go on:", err)
	}
	fmt.Println(guestEnd)
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // nothing is left to be told
}

// tell writes a result to the console.
func tell(name string, err error) {
	if err != nil {
		fmt.Printf("%s%s%s%s\n", guestResult, name, guestFailed, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	fmt.Println(guestResult + name)
}

func mountAll() error {
	for _, m := range []struct{ kind, dir string }{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/tmp"}} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return nil
}

// loadDrivers loads them twice: what is there already stays. Then it looks
// whether the kernel has them, and that they do not roam.
func loadDrivers() error {
	for range 2 {
		if err := LoadDrivers(ModulesDir); err != nil {
			return err
		}
	}
	for _, m := range drivers {
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(m.path), ".ko"), "-", "_")
		if _, err := os.Stat(filepath.Join("/sys/module", name)); err != nil {
			return err
		}
	}
	roamoff, err := os.ReadFile("/sys/module/brcmfmac/parameters/roamoff")
	if err != nil || strings.TrimSpace(string(roamoff)) != "1" {
		return fmt.Errorf("roamoff is %q, %v", roamoff, err)
	}
	// There is no chip, and so no interface: the error has to be of use.
	r, err := openRadio()
	if err != nil {
		return err
	}
	defer r.close()
	err = r.find("")
	fmt.Println(guestNote, err)
	if !errors.Is(err, ErrNoInterface) {
		return fmt.Errorf("without a chip: %w, want %w", err, ErrNoInterface)
	}
	return nil
}

// beStation loads what there is, and goes through the scenarios.
func beStation() error {
	modules, err := filepath.Glob(guestModules + "/*.ko")
	if err != nil {
		return err
	}
	for _, file := range modules { // their names begin with their places
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("%s: %w", file, err)
		}
		_ = f.Close() // it was only read
	}
	g := &guest{log: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if err := g.startAccessPoint(); err != nil {
		return err
	}
	for _, s := range scenarios {
		began := time.Now()
		err := s.run(g)
		fmt.Println(guestNote, s.name, "took", time.Since(began).Round(10*time.Millisecond))
		tell(s.name, err)
	}
	return nil
}

// guest is the machine, in its first process.
type guest struct {
	log *slog.Logger
	in  io.Writer // the other process's
	out *bufio.Scanner
}

// startAccessPoint starts the other process, in a network namespace of its own,
// and gives it one of the two radios.
func (g *guest) startAccessPoint() error {
	cmd := exec.Command("/init")
	cmd.Env = []string{guestEnv + "=ap", "PATH=/usr/sbin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	cmd.Stdout = os.Stdout
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	g.in, g.out = in, bufio.NewScanner(out)
	r, err := openRadio()
	if err != nil {
		return err
	}
	defer r.close()
	const secondPhy = 1
	return r.set(unix.NL80211_CMD_SET_WIPHY_NETNS, func(e *netlink.AttributeEncoder) {
		e.Uint32(unix.NL80211_ATTR_WIPHY, secondPhy)
		e.Uint32(unix.NL80211_ATTR_PID, uint32(cmd.Process.Pid))
	})
}

// ask has the other process do something.
func (g *guest) ask(command string) error {
	if _, err := fmt.Fprintln(g.in, command); err != nil {
		return err
	}
	if !g.out.Scan() {
		return fmt.Errorf("access point: %q is not answered: %w", command, g.out.Err())
	}
	if answer := g.out.Text(); answer != "done" {
		return fmt.Errorf("access point: %s: %s", command, answer)
	}
	return nil
}

// hostapd starts an access point with these lines of configuration besides
// those that all have.
func (g *guest) hostapd(lines ...string) error {
	return g.ask("start " + strings.Join(lines, "|"))
}

// run joins and does something there. Radios of an emulated machine may hear an
// answer too late; then it tries again.
func (g *guest) run(n Network, joined func(context.Context, string) error) error {
	err := g.runOnce(n, joined)
	for range 2 {
		if errors.Is(err, ErrNotHeard) {
			err = g.runOnce(n, joined)
		}
	}
	return err
}

func (g *guest) runOnce(n Network, joined func(context.Context, string) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s := &Station{Network: n, Log: g.log}
	return s.Run(ctx, joined)
}

// beAccessPoint does what the first process asks for.
func beAccessPoint(in io.Reader, out io.Writer) error {
	var hostapd *exec.Cmd
	kill := func(sig syscall.Signal) {
		if hostapd != nil {
			_ = hostapd.Process.Signal(sig) // it may have ended
			_ = hostapd.Wait()
			hostapd = nil
		}
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		command, rest, _ := strings.Cut(lines.Text(), " ")
		var err error
		switch command {
		case "start":
			kill(syscall.SIGTERM)
			hostapd, err = startHostapd(strings.Split(rest, "|"))
		case "stop": // it says goodbye
			kill(syscall.SIGTERM)
		case "cut": // it does not, and the radio is silent
			err = linkDown()
			kill(syscall.SIGKILL)
		}
		if err != nil {
			fmt.Fprintln(out, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		fmt.Fprintln(out, "done")
	}
	return lines.Err()
}

const (
	apAddress      = "10.8.0.1"
	stationAddress = "10.8.0.2"
	echoPort       = 7
	broadcastPort  = 9
)

func linkDown() error {
	link, err := route.LinkByName("wlan1")
	if err != nil {
		return err
	}
	return route.LinkSetDown(link)
}

// startHostapd returns when the access point is there. An echo server is with
// it, and it sends to all.
func startHostapd(lines []string) (*exec.Cmd, error) {
	config := strings.Join(append([]string{"interface=wlan1", "driver=nl80211", "hw_mode=g", "channel=6"}, lines...), "\n") + "\n"
	if err := os.WriteFile("/tmp/hostapd.conf", []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(guestHostapd, "/tmp/hostapd.conf")
	cmd.Stderr = os.Stdout
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	up := make(chan bool, 1)
	go func() { // ends with hostapd
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			fmt.Println("hostapd:", lines.Text())
			if strings.Contains(lines.Text(), "AP-ENABLED") {
				up <- true
			}
		}
		close(up)
	}()
	select {
	case ok := <-up:
		if ok {
			return cmd, serveNetwork()
		}
	case <-time.After(20 * time.Second):
	}
	return nil, errors.Join(errors.New("hostapd has no access point"), cmd.Process.Kill(), cmd.Wait())
}

var serveOnce sync.Once // of a process that does nothing else

// serveNetwork gives the access point its address and begins to answer.
func serveNetwork() error {
	if err := giveAddress("wlan1", apAddress); err != nil {
		return err
	}
	var err error
	serveOnce.Do(func() {
		var echo, all *net.UDPConn
		if echo, err = net.ListenUDP("udp4", &net.UDPAddr{Port: echoPort}); err != nil {
			return
		}
		go func() {
			buf := make([]byte, 2048)
			for {
				// What is lost is for the station to see.
				if n, from, err := echo.ReadFromUDP(buf); err == nil {
					_, _ = echo.WriteToUDP(buf[:n], from)
				}
			}
		}()
		if all, err = net.ListenUDP("udp4", nil); err != nil {
			return
		}
		go func() {
			to := &net.UDPAddr{IP: net.IPv4(10, 8, 0, 255), Port: broadcastPort}
			for range time.Tick(100 * time.Millisecond) {
				_, _ = all.WriteToUDP([]byte("all"), to) // there may be nobody
			}
		}()
	})
	return err
}

func giveAddress(iface, address string) error {
	link, err := route.LinkByName(iface)
	if err != nil {
		return err
	}
	a, err := route.ParseAddr(address + "/24")
	if err != nil {
		return err
	}
	return route.AddrReplace(link, a)
}

// traffic is what came through a network.
type traffic struct {
	sent, answered atomic.Int32
	toAll          atomic.Int32
	longest        atomic.Int64 // nanoseconds without an answer
}

func (t *traffic) String() string {
	return fmt.Sprintf("%d of %d answered, longest gap %v, %d to all", t.answered.Load(), t.sent.Load(),
		time.Duration(t.longest.Load()).Round(time.Millisecond), t.toAll.Load())
}

// use sends and receives for a while.
func use(ctx context.Context, iface string, d time.Duration) (*traffic, error) {
	if err := giveAddress(iface, stationAddress); err != nil {
		return nil, err
	}
	echo, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.ParseIP(apAddress), Port: echoPort})
	if err != nil {
		return nil, err
	}
	all, err := net.ListenUDP("udp4", &net.UDPAddr{Port: broadcastPort})
	if err != nil {
		return nil, errors.Join(err, echo.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	t := new(traffic)
	var readers sync.WaitGroup
	read := func(c *net.UDPConn, f func()) {
		readers.Go(func() {
			buf := make([]byte, 2048)
			for {
				if _, err := c.Read(buf); errors.Is(err, net.ErrClosed) {
					return
				} else if err == nil {
					f()
				}
			}
		})
	}
	last := time.Now()
	read(echo, func() {
		t.answered.Add(1)
		t.longest.Store(max(t.longest.Load(), int64(time.Since(last))))
		last = time.Now()
	})
	read(all, func() { t.toAll.Add(1) })
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			if _, err := echo.Write([]byte("are you there")); err == nil {
				t.sent.Add(1)
			}
		}
	}
	time.Sleep(300 * time.Millisecond) // what is on its way
	err = errors.Join(echo.Close(), all.Close())
	readers.Wait()
	return t, err
}

// works tells whether data passes both ways, and to all.
func works(ctx context.Context, iface string) error {
	t, err := use(ctx, iface, 2*time.Second)
	if err != nil {
		return err
	}
	// The first answers have to wait for the addresses' resolution.
	if t.answered.Load() < t.sent.Load()*8/10 || t.toAll.Load() < 5 {
		return fmt.Errorf("data does not pass: %v", t)
	}
	return nil
}
