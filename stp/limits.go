package stp

import (
	"log/slog"
	"sync"
	"time"
)

// Limits bound what clients can take. A zero is replaced by the default. The
// log calls those that are not times by the names that they have in the
// configuration of package appliance, which stand in brackets.
type Limits struct {
	Handshake time.Duration // for the TLS handshake, from the client's turn on; default 10 s
	Idle      time.Duration // between two complete inputs of a client; default 10 min
	Write     time.Duration // for a client to take an answer; default 30 s
	Drain     time.Duration // for running commands at shutdown; default 30 s

	// Of all clients together. The administrative plane has a reserve of
	// Sessions, one of sixteen and at most 64, and of Bytes, one of eight, that
	// the user plane cannot take.
	Sessions int // [sessions] at one time; default 16,384
	Bytes    int // [buffer_bytes] that sessions buffer beyond [FreeBytes] each; default 8 MiB

	// Of those who have not shown a credential. One address (of IPv6, one
	// network of 64 bits) has at most half of the handshakes while others wait.
	Unauthenticated int // [unauthenticated] connections; default 4,096
	Handshakes      int // [handshakes] of them that are worked on at one time; default 3,072
	HandshakeBytes  int // [handshake_bytes] that one may send until its handshake has ended; default 16 KiB

	// Of each credential, which is known by its issuer and name: who has
	// several certificates under one name has one share.
	CredentialSessions int // [credential_sessions] at one time; default 64
	CredentialBytes    int // [credential_bytes] that its sessions buffer beyond [FreeBytes] each; default 2 MiB
	CredentialSEs      int // [credential_elements] that its sessions hold; default 256
}

// The names of the limits in the configuration and the log.
const (
	limitSessions           = "sessions"
	limitBytes              = "buffer_bytes"
	limitUnauthenticated    = "unauthenticated"
	limitHandshakes         = "handshakes"
	limitHandshakeBytes     = "handshake_bytes"
	limitCredentialSessions = "credential_sessions"
	limitCredentialBytes    = "credential_bytes"
	limitCredentialSEs      = "credential_elements"
)

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&l.Handshake, 10 * time.Second}, {&l.Idle, 10 * time.Minute}, {&l.Write, 30 * time.Second}, {&l.Drain, 30 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	for _, d := range []struct {
		value *int
		def   int
	}{
		{&l.Sessions, 16384}, {&l.Bytes, 8 << 20}, {&l.Unauthenticated, 4096}, {&l.Handshakes, 3072}, {&l.HandshakeBytes, 16 << 10},
		{&l.CredentialSessions, 64}, {&l.CredentialBytes, 2 << 20}, {&l.CredentialSEs, 256},
	} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	return l
}

// reserves are what the administrative plane has for itself.
func (l Limits) reserves() (sessions, bytes int) { return min(l.Sessions/16, 64), l.Bytes / 8 }

// notices tell of limits that are reached, of each one once in a while.
type notices struct {
	mu   sync.Mutex
	told map[string]*notice // by the limit's name
}

type notice struct {
	at    time.Time
	since int // reached since then
}

// reached tells the log that something was not to be had for a limit.
func (n *notices) reached(log *slog.Logger, limit string, value int, attrs ...any) {
	n.mu.Lock()
	last := n.told[limit]
	if last == nil {
		if n.told == nil {
			n.told = make(map[string]*notice)
		}
		last = new(notice)
		n.told[limit] = last
	}
	if now := time.Now(); now.Sub(last.at) < quotaTime {
		last.since++
		n.mu.Unlock()
		return
	}
	times := last.since + 1
	last.at, last.since = time.Now(), 0
	n.mu.Unlock()
	log.Warn("limit reached", append([]any{"limit", "limits." + limit, "value", value, "times", times}, attrs...)...)
}
