//go:build unix

package pcsctest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a fresh PIV application has, and the tools take for granted.
const (
	pin = "123456"
	puk = "12345678"
)

// PIV runs the tools of PIV against a fresh application with the extensions of
// the YubiKey. It leaves the application reset. The reader's name has to have
// "Yubikey" in it, in any letters.
func PIV(t *testing.T, g Target) {
	w := &workbench{t: t, g: g, dir: t.TempDir(), openssl: Need(t, "openssl", "openssl")}
	for _, step := range []struct {
		name string
		run  func(*workbench)
	}{
		{"yubico-piv-tool", (*workbench).yubico},
		{"opensc", (*workbench).opensc},
		{"ykcs11", (*workbench).ykcs11},
		{"reset", (*workbench).reset},
		{"opensc piv-tool", (*workbench).pivTool},
		{"reset again", (*workbench).reset},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.run(&workbench{t: t, g: g, dir: w.dir, openssl: w.openssl})
		})
	}
}

// workbench has the files that go from one tool to the next.
type workbench struct {
	t       *testing.T
	g       Target
	dir     string
	openssl string
}

func (w *workbench) file(name string) string { return filepath.Join(w.dir, name) }

// tool runs yubico-piv-tool on the reader.
func (w *workbench) tool(texts []string, args ...string) string {
	w.t.Helper()
	tool := Need(w.t, "yubico-piv-tool", "yubico-piv-tool")
	return w.g.want(w.t, texts, "", tool, append([]string{"-r", w.g.Reader}, args...)...)
}

// refused runs yubico-piv-tool, which has to fail and to say why.
func (w *workbench) refused(text string, args ...string) {
	w.t.Helper()
	tool := Need(w.t, "yubico-piv-tool", "yubico-piv-tool")
	out, err := w.g.Run(w.t, bound, "", tool, append([]string{"-r", w.g.Reader}, args...)...)
	if err == nil || !strings.Contains(out, text) {
		w.t.Fatalf("yubico-piv-tool %s: %v, want a failure with %q:\n%s%s", strings.Join(args, " "), err, text, out, w.g.trace())
	}
}

func (w *workbench) ssl(texts []string, args ...string) string {
	w.t.Helper()
	return w.g.want(w.t, texts, "", w.openssl, args...)
}

// yubico makes keys and certificates in all the slots, and uses them.
func (w *workbench) yubico() {
	w.tool([]string{"Application version"}, "-a", "version")
	w.tool([]string{w.g.Reader}, "-a", "list-readers")
	w.tool(nil, "-a", "set-chuid", "-a", "set-ccc")
	for _, k := range []struct{ slot, alg string }{{"9a", "ECCP256"}, {"9c", "RSA2048"}, {"9d", "RSA2048"}, {"82", "ECCP384"}} {
		w.makeKey(k.slot, k.alg)
	}
	w.importKey("9e")
	w.tool([]string{"PIN tries left:	3", "Slot 9a:", "Slot 9c:", "Slot 9d:", "Slot 9e:", "Slot 82:"}, "-a", "status")
	for _, slot := range []string{"9d", "82"} { // by RSA, by ECDH
		w.tool([]string{"Successful"}, "-a", "verify-pin", "-P", pin, "-a", "test-decipher", "-s", slot, "-i", w.file(slot+".crt"))
	}
	w.attest("9a")
	w.pins()
}

// makeKey generates a key and gives it a certificate.
func (w *workbench) makeKey(slot, alg string) {
	w.t.Helper()
	key, cert := w.file(slot+".pub"), w.file(slot+".crt")
	w.tool(nil, "-a", "generate", "-s", slot, "-A", alg, "-o", key)
	w.ssl(nil, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=CA", "-keyout", w.file("ca.key"), "-out", w.file("ca.crt"))
	w.ssl(nil, "x509", "-new", "-subj", "/CN=slot "+slot, "-force_pubkey", key, "-CA", w.file("ca.crt"), "-CAkey", w.file("ca.key"), "-out", cert)
	w.tool(nil, "-a", "import-certificate", "-s", slot, "-i", cert)
	w.tool([]string{"Successful"}, "-a", "verify-pin", "-P", pin, "-a", "test-signature", "-s", slot, "-i", cert)
	w.tool(nil, "-a", "read-certificate", "-s", slot, "-o", w.file("read.crt"))
	w.same(cert, w.file("read.crt"))
	w.selfSign(slot, key)
}

// selfSign has the key certify and request itself. Releases of the tool before
// 2.3.1 fail at that with OpenSSL 3, before the card has been asked for
// anything (github.com/Yubico/yubico-piv-tool issue 388).
func (w *workbench) selfSign(slot, key string) {
	w.t.Helper()
	tool := Need(w.t, "yubico-piv-tool", "yubico-piv-tool")
	cert, request := w.file(slot+".self.crt"), w.file(slot+".csr")
	verified := []string{"-r", w.g.Reader, "-a", "verify-pin", "-P", pin}
	out, err := w.g.Run(w.t, bound, "", tool, append(verified, "-a", "selfsign-certificate", "-s", slot, "-S", "/CN=slot "+slot+"/", "-i", key, "-o", cert)...)
	if version, _ := w.g.Run(w.t, bound, "", tool, "--version"); err != nil && strings.Contains(version, " 2.2.") && strings.Contains(out, "Failed signing certificate") {
		w.t.Logf("%s cannot sign certificates with OpenSSL 3", strings.TrimSpace(version))
		return
	}
	if err != nil {
		w.t.Fatalf("self-sign with slot %s: %v\n%s%s", slot, err, out, w.g.trace())
	}
	w.ssl([]string{"OK"}, "verify", "-check_ss_sig", "-CAfile", cert, cert)
	w.tool(nil, append(verified[2:], "-a", "request-certificate", "-s", slot, "-S", "/CN=request/", "-i", key, "-o", request)...)
	w.ssl([]string{"verify OK"}, "req", "-in", request, "-noout", "-verify")
}

func (w *workbench) same(a, b string) {
	w.t.Helper()
	got, err := os.ReadFile(a)
	want, err2 := os.ReadFile(b)
	if err != nil || err2 != nil || string(got) != string(want) {
		w.t.Fatalf("%s and %s differ: %v, %v", a, b, err, err2)
	}
}

func (w *workbench) importKey(slot string) {
	w.t.Helper()
	key, cert := w.file(slot+".key"), w.file(slot+".crt")
	w.ssl(nil, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=imported", "-keyout", key, "-out", cert)
	w.tool(nil, "-a", "import-key", "-s", slot, "-i", key)
	w.tool(nil, "-a", "import-certificate", "-s", slot, "-i", cert)
	w.tool([]string{"Successful"}, "-a", "test-signature", "-s", slot, "-i", cert)
}

// attest has the card say that it made a key, and checks the chain.
func (w *workbench) attest(slot string) {
	w.t.Helper()
	said, by := w.file("attestation.crt"), w.file("f9.crt")
	w.tool(nil, "-a", "attest", "-s", slot, "-o", said)
	w.tool(nil, "-a", "read-certificate", "-s", "f9", "-o", by)
	w.ssl([]string{"OK"}, "verify", "-partial_chain", "-CAfile", by, said)
	of := w.ssl(nil, "x509", "-in", said, "-noout", "-pubkey")
	if want := w.ssl(nil, "pkey", "-pubin", "-in", w.file(slot+".pub")); of != want {
		w.t.Errorf("the attestation is of another key:\n%s\n%s", of, want)
	}
	w.refused("Failed to attest", "-a", "attest", "-s", "9e") // imported
}

// pins changes PIN, PUK and management key and back.
func (w *workbench) pins() {
	w.tool(nil, "-a", "change-pin", "-P", pin, "-N", "654321")
	w.refused("2 tries left", "-a", "verify-pin", "-P", pin)
	w.tool(nil, "-a", "verify-pin", "-P", "654321")
	w.tool(nil, "-a", "change-puk", "-P", puk, "-N", "87654321")
	w.tool(nil, "-a", "unblock-pin", "-P", "87654321", "-N", pin)
	w.tool(nil, "-a", "change-puk", "-P", "87654321", "-N", puk)
	w.tool(nil, "-a", "verify-pin", "-P", pin)
	other := strings.Repeat("a1b2c3d4e5f60718", 3)
	w.tool(nil, "-a", "set-mgm-key", "-n", other)
	w.refused("Failed authentication", "-a", "set-chuid")
	w.tool(nil, "-k"+other, "-a", "set-mgm-key", "-n", managementKey)
}

const managementKey = "010203040506070801020304050607080102030405060708"

// reset blocks PIN and PUK, which is what a reset asks for.
func (w *workbench) reset() {
	for range 3 {
		w.refused("", "-a", "verify-pin", "-P", "000000")
		w.refused("", "-a", "change-puk", "-P", "00000000", "-N", puk)
	}
	w.refused("blocked", "-a", "verify-pin", "-P", pin)
	w.tool([]string{"Successfully reset"}, "-a", "reset")
	w.tool([]string{"PIN tries left:	3"}, "-a", "status")
	w.tool(nil, "-a", "verify-pin", "-P", pin)
}
