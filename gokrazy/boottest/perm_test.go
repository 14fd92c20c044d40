package boottest

import (
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/internal/image"
	"github.com/cloud-of-se/tses/internal/needs"
	"github.com/cloud-of-se/tses/stp/racs"
)

// The kernel takes the /perm that was formatted in Go, writes to it, and leaves
// it in good order when the box is switched off; the box is the same one then.
func TestPermIsGood(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	card := shared.Card(ctx, t)
	fsck := e2fsck(t)
	disk := card.Copy(t)
	var serials [2]string
	for i := range serials {
		m := Start(ctx, t, Options{Card: card, Disk: disk})
		client, err := m.Dial(ctx)
		if err != nil {
			t.Fatal(err)
		}
		usePIV(ctx, t, client)
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		serials[i] = m.serverSerial(ctx, t)
		if err := m.PowerButton(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case <-m.Ended():
		case <-time.After(30 * time.Second):
			t.Fatalf("the box does not switch itself off:\n%s", m.Console())
		}
		fsck(disk)
	}
	if serials[0] != serials[1] {
		t.Error("the box made another server certificate at its second start")
	}
}

// serverSerial tells one server certificate from another.
func (m *Machine) serverSerial(ctx context.Context, t *testing.T) string {
	t.Helper()
	cas, err := racs.LoadCA(m.card.Owner.CA())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := racs.DialTLS(ctx, m.addr, racs.ClientConfig(cas, tls.Certificate{}, m.card.Name+".local"), racs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// e2fsck returns what checks the /perm of a disk.
func e2fsck(t *testing.T) func(disk string) {
	t.Helper()
	path, err := exec.LookPath("e2fsck")
	if err != nil {
		path = "/usr/sbin/e2fsck" // not in everybody's PATH
		if _, err := os.Stat(path); err != nil {
			needs.Missing(t, "e2fsck is missing: apt-get install e2fsprogs")
		}
	}
	return func(disk string) {
		t.Helper()
		im, err := image.Open(disk, false)
		if err != nil {
			t.Fatal(err)
		}
		at := im.Partition(image.Perm).Offset
		if err := im.Close(); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(path, "-f", "-n", disk+"?offset="+strconv.FormatInt(at, 10)).CombinedOutput(); err != nil {
			t.Errorf("e2fsck of /perm: %v\n%s", err, out)
		}
	}
}
