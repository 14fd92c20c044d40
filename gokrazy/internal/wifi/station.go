//go:build linux

package wifi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/mdlayher/genetlink"
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
	l, err := s.open()
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

// link is an interface with what comes from it.
type link struct {
	radio  *radio
	log    *slog.Logger
	own    address
	ap     *bss
	sup    *supplicant // nil: an open network
	eapol  *packet.Conn
	notify *genetlink.Conn

	events  chan event
	frames  chan frame
	broken  chan error // a socket cannot be read any more
	closing chan struct{}
	readers sync.WaitGroup
}

// frame is one of EAPOL that came.
type frame struct {
	from  address
	eapol []byte
}

// open finds the interface, prepares it and listens to it.
func (s *Station) open() (*link, error) {
	radio, err := openRadio(s.Interface)
	if err != nil {
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

// settle sees to what is better, and not needed.
func (s *Station) settle(r *radio) {
	if err := r.reloadRules(); err != nil {
		s.Log.Debug("Wi-Fi: countries' rules are not read again", "err", err)
	}
	if s.Network.Country != "" {
		if err := r.setCountry(s.Network.Country); err != nil {
			s.Log.Warn("Wi-Fi: the country is not set, the radio keeps to rules that hold everywhere", "country", s.Network.Country, "err", err)
		}
	}
	if err := r.stayAwake(); err != nil {
		s.Log.Debug("Wi-Fi: power save stays as it is", "err", err)
	}
	// Of an earlier life. Mostly there is none.
	if err := r.disconnect(); err != nil {
		s.Log.Debug("Wi-Fi: nothing to leave", "err", err)
	}
}

// close ends what open began.
func (l *link) close() {
	close(l.closing)
	// Closing ends reads. There is nothing to be done where it fails.
	if l.notify != nil {
		_ = l.notify.Close()
	}
	if l.eapol != nil {
		_ = l.eapol.Close()
	}
	l.readers.Wait()
	l.radio.close()
}

// readEvents hands on the interface's events until the socket is closed.
func (l *link) readEvents() {
	for {
		messages, _, err := l.notify.Receive()
		if err != nil {
			// Events that were lost, too, may have said that the connection was.
			l.broken <- fmt.Errorf("%w: events of nl80211: %w", ErrLost, err)
			return
		}
		for _, m := range messages {
			e, err := parseEvent(m.Header.Command, m.Data)
			if err != nil || e.index != l.radio.index {
				continue
			}
			select {
			case l.events <- e:
			case <-l.closing:
				return
			}
		}
	}
}

// readFrames hands on frames of EAPOL until the socket is closed.
func (l *link) readFrames() {
	buf := make([]byte, maxFrame+1)
	for {
		n, from, err := l.eapol.ReadFrom(buf)
		if err != nil {
			l.broken <- fmt.Errorf("%w: EAPOL frames: %w", ErrLost, err)
			return
		}
		a, ok := from.(*packet.Addr)
		if !ok || len(a.HardwareAddr) != len(address{}) {
			continue
		}
		select {
		case l.frames <- frame{address(a.HardwareAddr), slices.Clone(buf[:n])}:
		case <-l.closing:
			return
		}
	}
}

// scans is how often is scanned before a network is said not to be heard: on a
// channel that is in use, an answer may come too late.
const scans = 2

// pick scans and picks an access point.
func (s *Station) pick(ctx context.Context, l *link) (*bss, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTime)
	defer cancel()
	var why error
	for range scans {
		if err := l.scan(ctx, s.Network.SSID); err != nil {
			return nil, fmt.Errorf("%s: scan: %w", l.radio.name, err)
		}
		heard, err := l.radio.heard()
		if err != nil {
			return nil, err
		}
		ap, err := choose(heard, s.Network)
		if err == nil {
			return ap, nil
		}
		why = fmt.Errorf("%s: %w", l.radio.name, err)
		if !errors.Is(err, ErrNotHeard) {
			break
		}
	}
	return nil, why
}

// scan asks for a scan and waits for its end. A radio that is busy, or whose
// scan is broken off, is asked again.
func (l *link) scan(ctx context.Context, ssid string) error {
	for {
		err := l.radio.triggerScan(ssid)
		switch {
		case err == nil:
			done, err := l.awaitScan(ctx)
			if done || err != nil {
				return err
			}
		case !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EAGAIN):
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the radio stays busy (%v): %w", err, ctx.Err())
		case err := <-l.broken:
			return err
		case <-l.events: // of the scan that keeps the radio busy
		case <-time.After(scanPause):
		}
	}
}

func (l *link) awaitScan(ctx context.Context) (done bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("the radio does not say that it is done: %w", ctx.Err())
		case err := <-l.broken:
			return false, err
		case e := <-l.events:
			switch e.command {
			case unix.NL80211_CMD_NEW_SCAN_RESULTS:
				return true, nil
			case unix.NL80211_CMD_SCAN_ABORTED:
				return false, nil
			case unix.NL80211_CMD_DEL_INTERFACE:
				return false, e.gone(l.radio.name)
			}
			// A disconnection is of an earlier life.
		}
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

// refused says why an association came to nothing.
func (e event) refused(ssid string) error {
	switch {
	case e.timedOut:
		return fmt.Errorf("%w: %q does not answer; is it too far away?", ErrRefused, ssid)
	case e.status != 0:
		return fmt.Errorf("%w: %q: %s", ErrRefused, ssid, say(statuses, e.status))
	}
	return nil
}

// gone tells whether an event ends the connection, and why.
func (e event) gone(iface string) error {
	switch e.command {
	case unix.NL80211_CMD_DISCONNECT:
		who := "by this side"
		if e.byAP {
			who = "by the access point"
		}
		return &lostError{iface, e.reason, who}
	case unix.NL80211_CMD_ROAM:
		return fmt.Errorf("%w: %s: the firmware has gone to another access point, without keys", ErrLost, iface)
	case unix.NL80211_CMD_DEL_INTERFACE:
		return fmt.Errorf("%w: %s: the interface is gone", ErrLost, iface)
	}
	return nil
}

// lostError is a disconnection with its reason.
type lostError struct {
	iface  string
	reason uint16
	who    string
}

func (e *lostError) Error() string {
	return fmt.Sprintf("%v: %s: %s: %s", ErrLost, e.iface, e.who, say(reasons, e.reason))
}

func (e *lostError) Unwrap() error { return ErrLost }

// shake has the 4-way handshake, after which data may pass.
func (l *link) shake(ctx context.Context) error {
	late := time.After(handshakeTime)
	for !l.sup.joined() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return l.notAccepted(fmt.Errorf("%w: %q: the 4-way handshake was not finished within %v", ErrRefused, l.ap.ssid, handshakeTime))
		case err := <-l.broken:
			return err
		case f := <-l.frames:
			if err := l.handle(f); err != nil {
				return err
			}
		case e := <-l.events:
			if err := e.gone(l.radio.name); err != nil {
				return l.notAccepted(err)
			}
		}
	}
	return nil
}

// manyFirst is how often an access point repeats message 1 before it is clear
// that it does not like message 2.
const manyFirst = 3

// notAccepted is the error of a handshake that came to nothing. A wrong
// passphrase makes a wrong integrity code of message 2, which an access point
// does not answer; after some repetitions it ends the connection.
func (l *link) notAccepted(err error) error {
	var lost *lostError
	told := errors.As(err, &lost) && slices.Contains([]uint16{2, 14, 15, 23}, lost.reason)
	if l.sup.answered >= manyFirst || l.sup.answered > 0 && told || l.sup.badMICs > 0 {
		return fmt.Errorf("%w by %q; is it written right? (%w)", ErrPassphrase, l.ap.ssid, err)
	}
	return err
}

// handle gives a frame to the supplicant and does what it says.
func (l *link) handle(f frame) error {
	if f.from != l.ap.address {
		return nil
	}
	steps, err := l.sup.handle(f.eapol)
	if errors.Is(err, errDropped) {
		l.log.Debug("Wi-Fi", "interface", l.radio.name, "err", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %q: %w", l.radio.name, l.ap.ssid, err)
	}
	for _, s := range steps {
		if s.install == nil {
			err = l.send(s.send)
		} else if err = l.radio.install(l.ap, s.install); err == nil {
			l.log.Debug(keyInstalled, "interface", l.radio.name, "pairwise", s.install.pairwise, "index", s.install.index)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keyInstalled is what the log says; tests count it.
const keyInstalled = "Wi-Fi: key installed"

func (l *link) send(frame []byte) error {
	err := l.eapol.SetWriteDeadline(time.Now().Add(sendTime))
	if err == nil {
		_, err = l.eapol.WriteTo(frame, &packet.Addr{HardwareAddr: l.ap.address[:]})
	}
	if errors.Is(err, syscall.ENOBUFS) {
		return nil // the access point will ask again
	}
	if err != nil {
		return fmt.Errorf("%s: send EAPOL: %w", l.radio.name, err)
	}
	return nil
}

// hold keeps the connection, and its keys new, until it is lost, the context is
// done, or joined returns.
func (l *link) hold(ctx context.Context, joined func(context.Context, string) error) error {
	inner, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- joined(inner, l.radio.name) }()
	err, returned := l.keep(ctx, ended)
	cancel()
	if !returned {
		if own := <-ended; own != nil && !errors.Is(own, context.Canceled) {
			l.log.Debug("Wi-Fi: what ran on the connection", "err", own)
		}
	}
	return err
}

// keep tells too whether what runs on the connection has returned.
func (l *link) keep(ctx context.Context, ended <-chan error) (err error, returned bool) {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err(), false
		case err := <-ended:
			return err, true
		case err := <-l.broken:
			return err, false
		case f := <-l.frames:
			if err := l.handle(f); err != nil {
				return err, false
			}
		case e := <-l.events:
			if err := e.gone(l.radio.name); err != nil {
				return err, false
			}
		}
	}
}
