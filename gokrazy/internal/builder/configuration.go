package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/cloud-of-se/tses/boards"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// configuration is what of the TSES's configuration matters for the card.
type configuration struct {
	Listen string   `toml:"listen"`
	Names  []string `toml:"names"`
	Access struct {
		Trust []struct {
			File string `toml:"file"`
		} `toml:"trust"`
		Rules []struct {
			Issuer string `toml:"issuer"`
		} `toml:"rule"`
	} `toml:"access"`
	PCSC struct {
		Readers bool `toml:"readers"`
	} `toml:"pcsc"`
	Network  sdcard.Network `toml:"network"`
	Elements []struct {
		SEID string `toml:"seid"`
		boards.Element
	} `toml:"element"`

	files        map[string]string // for the card's /etc/tses
	firmware     boards.Firmware
	wifiFirmware map[string][]byte // for the card's /lib/firmware
}

const (
	configFile  = "config.toml"
	defaultPort = "7777"
	defaultSEID = "soft1"
	maxTrust    = 1 << 20 // bytes of a file of certificates
)

// readConfiguration checks the configuration with the TSES's own words, and
// takes from it what the card needs besides it.
func (b *build) readConfiguration(ctx context.Context) error {
	b.config.files = make(map[string]string)
	b.result.Port, b.result.SEID = defaultPort, defaultSEID
	if b.Board != "" {
		if _, err := boards.ByName(b.Board); err != nil {
			return err
		}
	}
	if b.Config == "" {
		return b.wifi()
	}
	path, err := filepath.Abs(b.Config)
	if err != nil {
		return err
	}
	if err := b.checkConfiguration(ctx, path); err != nil {
		return err
	}
	text, err := statefile.Given(maxRecord).Read(path)
	if err != nil {
		return err
	}
	if _, err := toml.Decode(string(text), &b.config); err != nil {
		return fmt.Errorf("%s: %w", b.Config, err)
	}
	if err := b.config.servesOnBox(); err != nil {
		return fmt.Errorf("%s: %w", b.Config, err)
	}
	b.config.files[configFile] = string(text)
	if _, port, err := net.SplitHostPort(b.config.Listen); err == nil {
		b.result.Port = port
	}
	if len(b.config.Elements) > 0 {
		b.result.SEID = b.config.Elements[0].SEID
	}
	if err := b.trusted(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%s: access: %w", b.Config, err)
	}
	if err := b.wifi(); err != nil {
		return fmt.Errorf("%s: %w", b.Config, err)
	}
	return b.wire()
}

// servesOnBox refuses what serves on a host alone.
func (c *configuration) servesOnBox() error {
	const instead = `a box has no pcscd: there is "iso7816" for a card on a UART or a serial adapter, "i2c" and "spi" for chips on pins, "softse" without hardware`
	if c.PCSC.Readers {
		return errors.New("pcsc.readers: " + instead)
	}
	for _, e := range c.Elements {
		if e.Driver == "pcsc" {
			return fmt.Errorf("element %q: driver \"pcsc\": %s", e.SEID, instead)
		}
	}
	return c.reachable()
}

// reachable refuses an address on which nobody could reach a box. What it is
// otherwise like, the TSES has checked.
func (c *configuration) reachable() error {
	if c.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen = %q: %w", c.Listen, err)
	}
	if number, err := strconv.Atoi(port); err == nil && number == 0 {
		return fmt.Errorf("listen = %q: nobody could know the port of a box; choose one, such as %s", c.Listen, defaultPort)
	}
	own, err := netip.ParseAddr(host)
	static, dynamic := netip.ParsePrefix(c.Network.Address)
	switch {
	case host == "" || err == nil && own.IsUnspecified():
		return nil
	case err != nil:
		return fmt.Errorf("listen = %q: a box cannot look up %s; write \"0.0.0.0:%s\" or leave listen out", c.Listen, host, port)
	case own.IsLoopback():
		return fmt.Errorf("listen = %q: nobody could reach the box on loopback; write \"0.0.0.0:%s\" or leave listen out", c.Listen, port)
	case dynamic != nil || static.Addr() != own:
		return fmt.Errorf("listen = %q: the box has that address only with network.address; write \"0.0.0.0:%s\" or leave listen out", c.Listen, port)
	}
	return nil
}

// checkConfiguration asks the TSES, as it is in this tree.
func (b *build) checkConfiguration(ctx context.Context, path string) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "run", "./appliance", "-check", "-config", path)
	cmd.Dir, cmd.Stderr, cmd.WaitDelay = b.Repository, &said, grace
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		text := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(said.String()), "exit status 1"))
		if text == "" {
			return fmt.Errorf("go run ./appliance -check: %w; run it in %s to see why", err, b.Repository)
		}
		return errors.New(strings.TrimPrefix(text, "appliance: "))
	}
	return nil
}

// keyID is the SHA-256 of a key, which names an issuer without a file.
var keyID = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)

// trusted reads the CAs that the configuration names: on the card they stand
// beside it.
func (b *build) trusted(dir string) error {
	var names []string
	for _, t := range b.config.Access.Trust {
		names = append(names, t.File)
	}
	for _, r := range b.config.Access.Rules {
		if r.Issuer != "" && !keyID.MatchString(r.Issuer) {
			names = append(names, r.Issuer)
		}
	}
	for _, name := range names {
		if !filepath.IsLocal(name) || filepath.ToSlash(filepath.Clean(name)) != name {
			return fmt.Errorf("%s: give it relative to the configuration and below it; it goes on the card", name)
		}
		text, err := statefile.Given(maxTrust).Read(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		b.config.files[name] = string(text)
	}
	return nil
}

// wire finds what the firmware has to be told for chips on buses.
func (b *build) wire() error {
	var wirings []boards.Wiring
	for _, e := range b.config.Elements {
		if boards.Keys(e.Driver) == nil {
			continue // on no bus
		}
		w, err := e.Wiring(e.SEID)
		if err != nil {
			return err
		}
		wirings = append(wirings, w)
	}
	onBus := slices.ContainsFunc(wirings, func(w boards.Wiring) bool { return w.Bus != "" })
	if b.Board == "" {
		if onBus {
			return errors.New("it has elements on buses of a Raspberry Pi: say which with -board, such as -board 4b")
		}
		return nil
	}
	board, err := boards.ByName(b.Board)
	if err != nil {
		return err
	}
	if b.config.firmware, err = board.Firmware(wirings...); err != nil {
		return err
	}
	for _, w := range wirings {
		if err := b.result.connect(board, w); err != nil {
			return err
		}
	}
	return nil
}
