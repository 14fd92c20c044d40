//go:build linux

package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
)

// sysNet is where the kernel shows network interfaces.
const sysNet = "/sys/class/net"

// lookEvery is how often the interface is looked at. A cable that is out and in
// again in between is noticed all the same: the kernel counts. Messages of the
// kernel would come sooner, but can be lost, and 64 seconds of DHCP's patience
// are what is to be cut short here.
const lookEvery = time.Second

// plug is what is known of an interface and its cable.
type plug struct {
	name    string
	index   int    // another one after an adapter was taken out and put in
	in      bool   // there is a carrier
	changes uint64 // how often the carrier has come and gone
}

var (
	errNoInterface = errors.New("no network interface")
	errCable       = errors.New("the cable is out, or nothing is at its other end")
	errLinkLost    = errors.New("the link is lost")
)

// look reads it from a directory like sysNet.
func look(dir, name string) (plug, error) {
	read := func(file string) (uint64, error) {
		text, err := os.ReadFile(filepath.Join(dir, name, file))
		if err != nil {
			return 0, err
		}
		return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 63)
	}
	p := plug{name: name}
	index, err := read("ifindex")
	if errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("%w %s; is the cable's adapter plugged in?", errNoInterface, name)
	}
	if err == nil {
		p.changes, err = read("carrier_changes")
	}
	if err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	p.index = int(index)
	// An interface that is not up has no carrier that could be read.
	carrier, err := read("carrier")
	p.in = err == nil && carrier == 1
	return p, nil
}

// cable connects by Ethernet: it waits for an interface and its carrier, and
// begins anew, at once, whenever the one or the other was lost. It ends with the
// context alone.
func (n *network) cable(ctx context.Context, joined func(context.Context, string) error) error {
	told := ""
	for {
		p, err := n.plugged(ctx, &told)
		if err != nil {
			return err
		}
		linked, unlink := context.WithCancelCause(ctx)
		var watching sync.WaitGroup
		watching.Go(func() { unlink(p.watch(linked)) })
		retry(linked, n.log, func(ctx context.Context) error { return joined(ctx, p.name) })
		unlink(nil)
		watching.Wait()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n.log.Warn("network", "interface", p.name, "err", context.Cause(linked))
	}
}

// plugged waits for an interface with a carrier, and says once what is missing.
func (n *network) plugged(ctx context.Context, told *string) (plug, error) {
	prepared := 0
	for {
		p, err := n.prepare(&prepared)
		if err == nil && p.in {
			*told = ""
			return p, nil
		}
		if err == nil {
			err = fmt.Errorf("%s: %w", p.name, errCable)
		}
		if err.Error() != *told {
			*told = err.Error()
			n.log.Warn("network: not connected", "err", err)
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return p, err
		}
	}
}

// prepare finds the interface and switches it on: without that it has no
// carrier. An address of the configuration needs none.
func (n *network) prepare(prepared *int) (plug, error) {
	link, err := n.link()
	if err != nil {
		return plug{}, err
	}
	name := link.Attrs().Name
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := netlink.LinkSetUp(link); err != nil {
			return plug{}, fmt.Errorf("%s: up: %w", name, err)
		}
	}
	if n.Address.IsValid() && *prepared != link.Attrs().Index {
		if err := n.apply(link, Settings{Address: n.Address, Gateway: n.Gateway, DNS: n.DNS}); err != nil {
			return plug{}, err
		}
		*prepared = link.Attrs().Index
	}
	return look(sysNet, name)
}

// watch returns what has become of the link, or with the context.
func (p plug) watch(ctx context.Context) error {
	for {
		if err := sleep(ctx, lookEvery); err != nil {
			return err
		}
		if err := p.lost(sysNet); err != nil {
			return err
		}
	}
}

// lost tells whether the link is another one, or none, or was none meanwhile.
func (p plug) lost(dir string) error {
	switch now, err := look(dir, p.name); {
	case err != nil:
		return fmt.Errorf("%w: %w", errLinkLost, err)
	case now.index != p.index:
		return fmt.Errorf("%w: the adapter is another one", errLinkLost)
	case !now.in:
		return fmt.Errorf("%w: %w", errLinkLost, errCable)
	case now.changes != p.changes:
		return fmt.Errorf("%w: the cable was out", errLinkLost)
	}
	return nil
}

// link finds the interface.
func (c Config) link() (netlink.Link, error) {
	if c.Interface != "" {
		link, err := netlink.LinkByName(c.Interface)
		if err != nil {
			return nil, fmt.Errorf("%w %s: %w", errNoInterface, c.Interface, err)
		}
		return link, nil
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("network interfaces: %w", err)
	}
	for _, link := range links {
		if a := link.Attrs(); a.Flags&net.FlagLoopback == 0 && len(a.HardwareAddr) == len(hardwareAddr{}) && !wireless(a.Name) {
			return link, nil
		}
	}
	return nil, fmt.Errorf("%w with an Ethernet address; is the cable's adapter plugged in?", errNoInterface)
}

// wireless tells whether the interface is a radio's, which looks like Ethernet.
func wireless(name string) bool {
	_, err := os.Stat(filepath.Join(sysNet, name, "phy80211"))
	return err == nil
}
