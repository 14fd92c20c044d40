//go:build linux

package wifi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// How long the parts of joining may take.
const (
	scanTime      = 30 * time.Second
	scanPause     = 250 * time.Millisecond
	connectTime   = 15 * time.Second
	handshakeTime = 10 * time.Second // hostapd gives up after some 4 s
	sendTime      = 2 * time.Second
)

// Station joins a network with one interface.
type Station struct {
	Network   Network
	Interface string // "wlan0"; "": the first station that nl80211 knows
	Log       *slog.Logger
}

// Run joins the network and calls joined with the interface's name and a context
// that ends when the connection does. When joined returns, which it has to do
// then, Run leaves the network and returns joined's error, or why the
// connection was lost. To try again is the caller's.
func (s *Station) Run(ctx context.Context, joined func(ctx context.Context, iface string) error) error {
	if err := s.Network.check(); err != nil {
		return err
	}
	l, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	ap, err := s.pick(ctx, l)
	if err != nil {
		return err
	}
	defer s.leave(l)
	began := time.Now()
	if err := s.associate(ctx, l, ap); err != nil {
		return err
	}
	s.Log.Info("Wi-Fi joined", "interface", l.radio.name, "network", s.Network.SSID, "access point", net.HardwareAddr(ap.address[:]).String(),
		"MHz", ap.frequency, "dBm", ap.signal/100, "took", time.Since(began).Round(time.Millisecond))
	return l.hold(ctx, joined)
}

// open finds the interface, prepares it and listens to it.
func (s *Station) open(ctx context.Context) (*link, error) {
	radio, err := openRadio()
	if err != nil {
		return nil, err
	}
	// The rules come first: a driver asks for them when it finds its chip.
	s.obey(ctx, radio)
	if err := radio.find(s.Interface); err != nil {
		radio.close()
		return nil, err
	}
	l := &link{
		radio: radio, log: s.Log,
		events: make(chan event), frames: make(chan frame), broken: make(chan error, 2), closing: make(chan struct{}),
	}
	if err := s.prepare(l); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// prepare sets the interface up, and listens before anything is said.
func (s *Station) prepare(l *link) error {
	iface, err := netlink.LinkByName(l.radio.name)
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrNoInterface, l.radio.name, err)
	}
	switch err := netlink.LinkSetUp(iface); {
	case errors.Is(err, unix.ERFKILL):
		return fmt.Errorf("%w: %s: a switch (rfkill) has it off", ErrBlocked, l.radio.name)
	case err != nil:
		return fmt.Errorf("%s: up: %w", l.radio.name, err)
	}
	now, err := net.InterfaceByName(l.radio.name)
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrNoInterface, l.radio.name, err)
	}
	if len(now.HardwareAddr) != len(l.own) {
		return fmt.Errorf("%w: %s has no Ethernet address", ErrNoInterface, l.radio.name)
	}
	copy(l.own[:], now.HardwareAddr)
	s.settle(l.radio)

	if l.notify, err = l.radio.subscribe(); err != nil {
		return err
	}
	l.readers.Go(func() { l.readEvents() })
	if s.Network.Open {
		return nil
	}
	if l.eapol, err = packet.Listen(now, packet.Datagram, unix.ETH_P_PAE, nil); err != nil {
		return fmt.Errorf("%s: EAPOL: %w", l.radio.name, err)
	}
	l.readers.Go(func() { l.readFrames() })
	return nil
}

// obey has the radio keep to the rules of a country. Without them it keeps to
// those that hold everywhere, and joins networks all the same.
func (s *Station) obey(ctx context.Context, r *radio) {
	if err := r.reloadRules(); err != nil {
		s.Log.Debug("Wi-Fi: countries' rules are not read again", "err", err)
	}
	if s.Network.Country == "" {
		return
	}
	if err := s.become(ctx, r); err != nil {
		s.Log.Warn("Wi-Fi: the country is not set, the radio keeps to rules that hold everywhere", "country", s.Network.Country, "err", err)
	}
}

// rulesTime is how long the kernel may take to look a country up.
const rulesTime = 3 * time.Second

// become sets the country, and waits until the kernel has found its rules.
func (s *Station) become(ctx context.Context, r *radio) error {
	if now, err := r.country(); err == nil && now == s.Network.Country {
		return nil
	}
	if err := r.setCountry(s.Network.Country); err != nil {
		return err
	}
	for late := time.Now().Add(rulesTime); ; {
		now, err := r.country()
		switch {
		case err != nil:
			return err
		case now == s.Network.Country:
			s.Log.Info("Wi-Fi: the radio keeps to the rules of a country", "country", now)
			return nil
		case time.Now().After(late):
			return fmt.Errorf("the rules are still those of %q: regulatory.db is not there, does not know the country, or is signed by nobody that the kernel knows", now)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rulesTime / 30):
		}
	}
}

// settle sees to what is better, and not needed.
func (s *Station) settle(r *radio) {
	if err := r.stayAwake(); err != nil {
		s.Log.Debug("Wi-Fi: power save stays as it is", "err", err)
	}
	// Of an earlier life. Mostly there is none.
	if err := r.disconnect(); err != nil {
		s.Log.Debug("Wi-Fi: nothing to leave", "err", err)
	}
}

// associate connects and has the 4-way handshake.
func (s *Station) associate(ctx context.Context, l *link, ap *bss) error {
	l.ap = ap
	var rsn []byte
	if !s.Network.Open {
		rsn = ownRSN()
	}
	if err := l.radio.connect(ap, rsn); err != nil {
		return err
	}
	sent, err := l.awaitConnect(ctx)
	if err != nil || s.Network.Open {
		return err
	}
	if sent != nil {
		rsn = sent // a driver may have made another of it; message 2 has to repeat it
	}
	l.sup = newSupplicant(s.Network.PSK, ap, l.own, rsn)
	if err := l.shake(ctx); err != nil {
		return err
	}
	if err := l.radio.openPort(ap); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		// Firmware may open the port by itself, and refuse to be told.
		s.Log.Warn("Wi-Fi: the driver is not told that data may pass", "interface", l.radio.name, "err", err)
	}
	return nil
}

// leave leaves the network. Where it cannot be told, the kernel does it when the
// socket is closed.
func (s *Station) leave(l *link) {
	if err := l.radio.disconnect(); err != nil && !errors.Is(err, unix.ENOTCONN) {
		s.Log.Debug("Wi-Fi: leave", "interface", l.radio.name, "err", err)
	}
}

// awaitConnect waits for the association, and returns the RSN element that was
// sent, where the driver tells it.
func (l *link) awaitConnect(ctx context.Context) (rsn []byte, err error) {
	late := time.After(connectTime)
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-late:
			return nil, fmt.Errorf("%w: %q: no answer within %v", ErrRefused, l.ap.ssid, connectTime)
		case err := <-l.broken:
			return nil, err
		case e := <-l.events:
			if e.command == unix.NL80211_CMD_CONNECT {
				return e.sentRSN(), e.refused(l.ap.ssid)
			}
			if err := e.gone(l.radio.name); err != nil {
				return nil, fmt.Errorf("%q: %w", l.ap.ssid, err)
			}
		}
	}
}
