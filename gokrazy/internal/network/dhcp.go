//go:build linux

package network

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"time"
)

// leaseTime is taken where a server names none; leastLease and leastRenewal
// bound how often a server can make the box ask.
const (
	leaseTime    = time.Hour
	leastLease   = 20 * time.Second
	leastRenewal = 5 * time.Second
)

// How long an answer is waited for, try by try (RFC 2131, 4.1). Whether the
// network is that of the last lease is asked once: one that is another may have
// nobody who says so.
var (
	patient = []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, 64 * time.Second}
	hasty   = []time.Duration{3 * time.Second}
)

// outOfStep lets boxes that were switched on together not ask together (RFC
// 2131, 4.1).
func outOfStep(waits []time.Duration) []time.Duration {
	var all []time.Duration
	for _, w := range waits {
		all = append(all, w-time.Second+mathrand.N(2*time.Second))
	}
	return all
}

// askAgain is the least time between two tries to renew (RFC 2131, 4.4.5).
const askAgain = time.Minute

// dhcp is a client of DHCP at one interface: the state machine of RFC 2131, 4.4.
type dhcp struct {
	mac  hardwareAddr
	host string
	log  *slog.Logger

	raw    func() (wire, error)
	routed func(ctx context.Context, server netip.Addr) (wire, error)

	// give makes settings the interface's; those without an address take it away.
	give func(Settings) error

	held held // the last lease, which may have ended
}

// held is a lease.
type held struct {
	settings Settings
	server   netip.Addr

	renew, rebind, expires time.Time // T1, T2 and the end
}

var (
	errNoAnswer = errors.New("no DHCP server answers; is there one in this network?")
	errRefused  = errors.New("the DHCP server refuses the address")
	errLost     = errors.New("the lease is lost")
)

// run gets an address and keeps it, until the context is done or nobody gives
// one.
func (d *dhcp) run(ctx context.Context) error {
	for {
		if err := d.acquire(ctx); err != nil {
			return err
		}
		err := d.hold(ctx)
		if !errors.Is(err, errLost) {
			return err
		}
		// The address may be another machine's from now on (4.4.5).
		d.log.Warn("network", "address", d.held.settings.Address, "err", err)
		d.held = held{}
		if err := d.give(Settings{}); err != nil {
			return err
		}
	}
}

// hold uses the lease and those that follow when it is renewed.
func (d *dhcp) hold(ctx context.Context) error {
	for {
		if err := d.give(d.held.settings); err != nil {
			return err
		}
		if err := d.keep(ctx); err != nil {
			return err
		}
	}
}

// acquire goes from INIT-REBOOT or INIT to BOUND.
func (d *dhcp) acquire(ctx context.Context) (err error) {
	w, err := d.raw()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if former := d.held.settings.Address.Addr(); d.holds() {
		m := d.message(request)
		m.options[optRequestedIP] = former.AsSlice()
		err := d.ask(ctx, w, m, hasty, netip.Addr{})
		if err == nil || ctx.Err() != nil {
			return err
		}
		d.log.Info("network: the former address is not confirmed", "address", former, "err", err)
		d.held = held{}
	}
	m := d.message(discover)
	offered, err := d.exchange(ctx, w, m, outOfStep(patient), func(m *message) error {
		if m.kind() != offer {
			return errors.New("it offers nothing")
		}
		if !usable(m.address(optServer)) {
			return fmt.Errorf("%w: no server identifier", errOffer)
		}
		_, err := settings(m)
		return err
	})
	if err != nil {
		return err
	}
	server := offered.address(optServer)
	m.options[optType] = []byte{request}
	m.options[optRequestedIP] = offered.yours.AsSlice()
	m.options[optServer] = server.AsSlice()
	return d.ask(ctx, w, m, outOfStep(patient[:4]), server)
}

// holds tells whether there is a lease that has not ended.
func (d *dhcp) holds() bool {
	return d.held.settings.Connected() && time.Now().Before(d.held.expires)
}

// keep waits in BOUND, and goes through RENEWING and REBINDING. It returns nil
// with another lease in place, and errLost once the address has to go.
func (d *dhcp) keep(ctx context.Context) error {
	l := d.held
	if err := sleep(ctx, time.Until(l.renew)); err != nil {
		return err
	}
	for {
		server, until := l.server, l.rebind
		if !time.Now().Before(l.rebind) {
			server, until = netip.AddrFrom4([4]byte(broadcast[:4])), l.expires
		}
		left := time.Until(until)
		if left <= 0 {
			return fmt.Errorf("%w: it has ended", errLost)
		}
		// Half of the time that is left, but not too often, and not longer.
		again := time.Now().Add(min(max(left/2, askAgain), left))
		err := d.renew(ctx, server, time.Until(again))
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, errRefused):
			return fmt.Errorf("%w: %w", errLost, err)
		}
		d.log.Warn("network: the lease is not renewed yet", "address", l.settings.Address, "expires", l.expires.UTC(), "err", err)
		if err := sleep(ctx, time.Until(again)); err != nil {
			return err
		}
	}
}

// renew asks once.
func (d *dhcp) renew(ctx context.Context, server netip.Addr, wait time.Duration) (err error) {
	w, err := d.routed(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	m := d.message(request)
	m.client = d.held.settings.Address.Addr()
	return d.ask(ctx, w, m, []time.Duration{wait}, netip.Addr{})
}

// ask sends a request and takes the lease that is acknowledged, from one server
// or, with the zero address, any.
func (d *dhcp) ask(ctx context.Context, w wire, m *message, waits []time.Duration, server netip.Addr) error {
	began := time.Now() // a lease counts from the request (4.4.1)
	var s Settings
	got, err := d.exchange(ctx, w, m, waits, func(m *message) (err error) {
		switch from := m.address(optServer); {
		case server.IsValid() && from != server:
			return fmt.Errorf("it is from %s, not from %s", from, server)
		case m.kind() == nak:
			return nil
		case m.kind() != ack:
			return errors.New("it is no answer to a request")
		case !usable(from):
			return fmt.Errorf("%w: no server identifier", errOffer)
		}
		s, err = settings(m)
		return err
	})
	if err != nil {
		return err
	}
	if got.kind() == nak {
		return fmt.Errorf("%w: %.60q", errRefused, got.options[optReason])
	}
	length := max(got.seconds(optLease, leaseTime), leastLease)
	t1 := max(min(got.seconds(optRenewal, length/2), length/2), leastRenewal)
	t2 := max(min(got.seconds(optRebinding, length/8*7), length/8*7), t1)
	d.held = held{
		settings: s, server: got.address(optServer),
		renew: began.Add(t1), rebind: began.Add(t2), expires: began.Add(length),
	}
	return nil
}

// message begins one of the client's.
func (d *dhcp) message(kind byte) *message {
	var xid [4]byte
	rand.Read(xid[:]) // never fails
	m := &message{op: bootRequest, xid: binary.BigEndian.Uint32(xid[:]), mac: d.mac, options: map[byte][]byte{
		optType:    {kind},
		optMaxSize: binary.BigEndian.AppendUint16(nil, maxFrame-etherHeader),
		optWanted:  {optMask, optRouter, optDNS, optNTP, optLease, optRenewal, optRebinding},
	}}
	if 0 < len(d.host) && len(d.host) <= 63 {
		m.options[optHostName] = []byte(d.host)
	}
	return m
}

// exchange sends a message, again and again, until there is an answer that is
// accepted.
func (d *dhcp) exchange(ctx context.Context, w wire, m *message, waits []time.Duration, accept func(*message) error) (*message, error) {
	began := time.Now()
	var why error // the last answer was not accepted
	for _, wait := range waits {
		m.secs = uint16(min(time.Since(began)/time.Second, 0xFFFF))
		if err := w.send(m.bytes()); err != nil {
			return nil, err
		}
		answer, err := d.await(ctx, w, m.xid, wait, accept, &why)
		if answer != nil || err != nil {
			return answer, err
		}
	}
	if why != nil {
		return nil, fmt.Errorf("%w; what did was not taken: %w", errNoAnswer, why)
	}
	return nil, errNoAnswer
}

// await returns nil, and no error, if there is no answer in time.
func (d *dhcp) await(ctx context.Context, w wire, xid uint32, wait time.Duration, accept func(*message) error, why *error) (*message, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		b, err := w.receive(waiting)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case waiting.Err() != nil:
			return nil, nil
		case err != nil:
			return nil, err
		}
		m, err := parseMessage(b)
		if err != nil || m.op != bootReply || m.xid != xid || m.mac != d.mac {
			continue // for somebody else
		}
		if err := accept(m); err != nil {
			*why = err
			continue
		}
		return m, nil
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
