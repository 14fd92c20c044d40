//go:build unix

package pcsctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// latencyProgram sends one APDU again and again and prints the nanoseconds that
// each took. Its arguments: reader, times, a SELECT in hex, a command in hex.
const latencyProgram = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winscard.h>

static unsigned char in[300], out[65538];

static size_t hex(const char *s) {
	size_t n = 0;
	unsigned v;
	for (; n < sizeof in && sscanf(s, "%2x", &v) == 1; s += 2) in[n++] = v;
	return n;
}

static void must(const char *what, LONG rv) {
	if (rv == SCARD_S_SUCCESS) return;
	fprintf(stderr, "%s: %s\n", what, pcsc_stringify_error(rv));
	exit(1);
}

int main(int argc, char **argv) {
	SCARDCONTEXT ctx;
	SCARDHANDLE card;
	DWORD proto, len;
	struct timespec a, b;
	long i, times = atol(argv[2]);
	must("establish", SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &ctx));
	must("connect", SCardConnect(ctx, argv[1], SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY, &card, &proto));
	const SCARD_IO_REQUEST *pci = proto == SCARD_PROTOCOL_T1 ? SCARD_PCI_T1 : SCARD_PCI_T0;
	size_t n = hex(argv[3]);
	len = sizeof out;
	must("select", SCardTransmit(card, pci, in, n, NULL, out, &len));
	n = hex(argv[4]);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < times; i++) {
		len = sizeof out;
		must("transmit", SCardTransmit(card, pci, in, n, NULL, out, &len));
		if (len < 2 || out[len - 2] != 0x90) { fprintf(stderr, "status %02x\n", out[len - 2]); return 1; }
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.0f\n", ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / times);
	must("disconnect", SCardDisconnect(card, SCARD_LEAVE_CARD));
	must("release", SCardReleaseContext(ctx));
	return 0;
}
`

// Prober measures how long an APDU of a local program takes through libpcsclite.
type Prober struct{ binary string }

// NewProber builds the program.
func NewProber(t testing.TB) Prober {
	t.Helper()
	gcc := Need(t, "gcc", "gcc")
	flags, err := exec.Command(Need(t, "pkg-config", "pkg-config"), "--cflags", "--libs", "libpcsclite").Output()
	if err != nil {
		Missing(t, "libpcsclite's header (Debian package libpcsclite-dev)")
	}
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "latency.c"), filepath.Join(dir, "latency")
	if err := os.WriteFile(source, []byte(latencyProgram), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-O2", "-o", binary, source}, strings.Fields(string(flags))...)
	if out, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return Prober{binary}
}

// Measure is the mean time of a command, in hex, that the card answers 9000
// after the SELECT.
func (p Prober) Measure(t testing.TB, g Target, times int, selectHex, commandHex string) time.Duration {
	t.Helper()
	out := g.want(t, nil, "", p.binary, g.Reader, strconv.Itoa(times), selectHex, commandHex)
	ns, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		t.Fatalf("it printed %q", out)
	}
	return time.Duration(ns)
}
