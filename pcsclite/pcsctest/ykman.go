//go:build unix

package pcsctest

import (
	"strings"
	"testing"
)

// YKMan goes with Yubico's ykman through the life of a fresh PIV application:
// keys, certificates, PINs, and the reset, which blocks the PIN and the PUK by
// trying what no PIN can be. The reader's name has to begin with "Yubico
// YubiKey" and to have "CCID" in it; serial is what ykman has to tell.
func YKMan(t *testing.T, g Target, serial string) {
	ykman, openssl := Need(t, "ykman", "yubikey-manager"), Need(t, "openssl", "openssl")
	w := &workbench{t: t, g: g, dir: t.TempDir(), openssl: openssl}
	run := func(texts []string, args ...string) string {
		t.Helper()
		return g.want(t, texts, "", ykman, args...)
	}
	pub, cert := w.file("9a.pub"), w.file("9a.crt")
	run([]string{"Serial number: " + serial, "Firmware version: 5.7.0"}, "info")
	run(nil, "piv", "keys", "generate", "-a", "ECCP256", "-m", managementKey, "9a", pub)
	run(nil, "piv", "certificates", "generate", "-s", "CN=made by ykman", "-P", pin, "-m", managementKey, "9a", pub)
	run(nil, "piv", "certificates", "export", "9a", cert)
	w.ssl([]string{"OK"}, "verify", "-check_ss_sig", "-CAfile", cert, cert)
	run([]string{"Slot 9a:", "CN=made by ykman"}, "piv", "info")

	run(nil, "piv", "access", "change-pin", "-P", pin, "-n", "654321")
	run(nil, "piv", "access", "change-puk", "-p", puk, "-n", "87654321")
	run(nil, "piv", "access", "unblock-pin", "-p", "87654321", "-n", pin)
	run(nil, "piv", "access", "change-management-key", "-a", "AES256", "-f", "-P", pin, "-m", managementKey, "-n", strings.Repeat("a1b2c3d4e5f60718", 4))
	run(nil, "piv", "access", "set-retries", "-f", "-P", pin, "-m", strings.Repeat("a1b2c3d4e5f60718", 4), "5", "4")
	run([]string{"PIN tries remaining: 5/5"}, "piv", "info")

	run([]string{"Success! All PIV data have been cleared"}, "piv", "reset", "-f")
	out := run([]string{"PIN tries remaining: 3/3"}, "piv", "info")
	if strings.Contains(out, "Slot 9a") {
		t.Errorf("after the reset there is a certificate:\n%s", out)
	}
	run(nil, "piv", "objects", "generate", "-m", managementKey, "chuid")
}
