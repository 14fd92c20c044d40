package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/cloud-of-se/tses/stp"
)

// resources are what the machine, or the part of it that this process may have,
// has of memory and of file descriptors; 0 where that is not known.
type resources struct {
	memory int64 // bytes
	files  int64
}

// What one of each takes, measured and rounded up.
const (
	sessionMemory   = 40 << 10 // idle, with what the collector has not found yet
	handshakeMemory = 32 << 10
	filesHeld       = 64 // for state files, the log, updates
	filesPerSE      = 8
)

// limitsOf are the limits of the configuration. What it does not say is what the
// machine can bear: the descriptors that SEs and state files need are held back,
// and handshakes, sessions and their buffers leave room in its memory.
func limitsOf(c config, r resources, log *slog.Logger) stp.Limits {
	t, l := c.Timeouts, c.Limits
	limits := stp.Limits{
		Handshake: time.Duration(t.Handshake), Idle: time.Duration(t.Idle),
		Write: time.Duration(t.Write), Drain: time.Duration(t.Drain),
		Sessions: l.Sessions, Bytes: l.Bytes,
		Unauthenticated: l.Unauthenticated, Handshakes: l.Handshakes, HandshakeBytes: l.HandshakeBytes,
		CredentialSessions: l.CredentialSessions, CredentialBytes: l.CredentialBytes, CredentialSEs: l.CredentialSEs,
	}
	sessions := int64(16384)
	if r.memory > 0 {
		sessions = min(sessions, r.memory/2/sessionMemory)
		boundBy(&limits.Handshakes, 3072, r.memory/16/handshakeMemory)
		boundBy(&limits.Bytes, 8<<20, r.memory/16)
		boundBy(&limits.CredentialBytes, 2<<20, int64(limits.Bytes)/2)
	}
	if r.files > 0 {
		files := max(r.files-filesHeld-int64(filesPerSE*len(c.Elements)), 16)
		boundBy(&limits.Unauthenticated, 4096, files/4)
		boundBy(&limits.Sessions, int(sessions), files-files/4)
		if need := int64(limits.Unauthenticated) + int64(limits.Sessions); need > files {
			log.Warn("limits.unauthenticated and limits.sessions are more than the file descriptors; LimitNOFILE= of systemd or ulimit -n gives more", "want", need, "have", files)
		}
	}
	boundBy(&limits.Sessions, int(sessions), sessions) // where nothing is known of files
	return limits
}

// boundBy sets a limit that the configuration does not, to what is usual or to what
// there is.
func boundBy(limit *int, usual int, most int64) {
	if *limit == 0 {
		*limit = int(max(1, min(int64(usual), most)))
	}
}

// Go's collector keeps as much garbage as there is memory in use, unless it is
// told otherwise. A server of which little is in use most of the time has no need
// of that.
const collectPercent = 50

// boundMemory keeps the process below the memory of the machine: from three
// quarters of it on the collector works rather than let it grow. The environment
// variables GOMEMLIMIT and GOGC decide where they are set.
func boundMemory(r resources) {
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set && r.memory > 0 {
		debug.SetMemoryLimit(r.memory / 4 * 3)
	}
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(collectPercent)
	}
}

// How often it is looked whether there is memory to be given back, how much it
// has to be, and how little is allocated meanwhile where nothing happens.
const (
	tidyEvery = 5 * time.Second
	tidyLeast = 8 << 20
	calmRate  = 1 << 20
)

// tidy gives memory back to the system when a storm is over: by itself the
// collector of a server that has nothing to do comes every two minutes, and what
// it finds is given back later. It ends with the context.
func tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	var before, freed uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		allocated, idle := heap()
		if allocated-before < calmRate && allocated-freed > tidyLeast && idle > tidyLeast {
			debug.FreeOSMemory()
			freed = allocated
		}
		before = allocated
	}
}

// heap is how much was allocated since the start, and how much memory is held
// that was not in use when the collector was there the last time.
func heap() (allocated, idle uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
	}
	metrics.Read(samples)
	var v [5]uint64
	for i, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			v[i] = s.Value.Uint64()
		}
	}
	held := v[2] + v[3] + v[4]
	return v[0], held - min(held, v[1])
}
