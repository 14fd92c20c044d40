//go:build unix

package pcsctest

import (
	"os"
	"strings"
)

// module finds a PKCS#11 module where Debian puts it.
func (w *workbench) module(name, from string) string {
	w.t.Helper()
	for _, dir := range []string{"/usr/lib/x86_64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/", "/usr/lib/"} {
		if _, err := os.Stat(dir + name); err == nil {
			return dir + name
		}
	}
	Missing(w.t, name+" (Debian package "+from+")")
	return ""
}

// opensc uses the keys through OpenSC's PKCS#15 emulation and its PKCS#11
// module. It finds PIV by the application, not by the ATR.
func (w *workbench) opensc() {
	module := w.module("opensc-pkcs11.so", "opensc-pkcs11")
	tool := Need(w.t, "pkcs11-tool", "opensc")
	w.g.want(w.t, []string{"Personal Identity Verification"}, "", Need(w.t, "opensc-tool", "opensc"), "-r", w.g.Reader, "-n")
	w.g.want(w.t, []string{"Certificate for PIV Authentication"}, "", Need(w.t, "pkcs15-tool", "opensc"), "--reader", w.g.Reader, "-c")
	w.pkcs11(tool, module)
	out := w.g.want(w.t, []string{"No errors"}, "", tool, "--module", module, "--login", "--pin", pin, "--test")
	if strings.Contains(out, "ERR:") {
		w.t.Errorf("pkcs11-tool --test:\n%s", out)
	}
}

// ykcs11 does the same through Yubico's module.
func (w *workbench) ykcs11() {
	module := w.module("libykcs11.so", "ykcs11")
	tool := Need(w.t, "pkcs11-tool", "opensc")
	w.pkcs11(tool, module)
}

// pkcs11 lists objects and signs with the keys of the slots 9a and 9c.
func (w *workbench) pkcs11(tool, module string) {
	w.t.Helper()
	login := []string{"--module", module, "--login", "--pin", pin}
	w.g.want(w.t, []string{"Private Key Object; EC", "Private Key Object; RSA", "Certificate Object"}, "", tool, append(login, "-O")...)
	data := w.file("data")
	if err := os.WriteFile(data, []byte("to be signed"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	for _, k := range []struct{ slot, id, mechanism string }{{"9a", "01", "ECDSA-SHA256"}, {"9c", "02", "SHA256-RSA-PKCS"}} {
		signature := w.file("signature")
		sign := append(login, "--id", k.id, "--sign", "-m", k.mechanism, "-i", data, "-o", signature)
		if strings.HasPrefix(k.mechanism, "ECDSA") {
			sign = append(sign, "--signature-format", "openssl")
		}
		w.g.want(w.t, nil, "", tool, sign...)
		w.ssl([]string{"Verified OK"}, "dgst", "-sha256", "-verify", w.file(k.slot+".pub"), "-signature", signature, data)
	}
}

// pivTool administers the application with OpenSC's own tool. Release 0.23 ends
// with other statuses than 0 when all is well, cannot write down the key that
// the card made with OpenSSL 3, and pads its own external authentication
// wrongly; so what counts here is what is on the card afterwards.
func (w *workbench) pivTool() {
	tool := Need(w.t, "piv-tool", "opensc")
	keyFile := w.file("9b.key")
	key := strings.TrimSuffix(strings.Repeat("01:02:03:04:05:06:07:08:", 3), ":")
	if err := os.WriteFile(keyFile, []byte(key), 0o600); err != nil {
		w.t.Fatal(err)
	}
	run := func(args ...string) string {
		w.t.Helper()
		cmd := w.g.Command(w.t, bound, tool, append([]string{"--reader", w.g.Reader}, args...)...)
		cmd.Env = append(cmd.Env, "PIV_EXT_AUTH_KEY="+keyFile)
		out, _ := cmd.CombinedOutput() // its status says nothing
		return string(out)
	}
	contains(w.t, run("-n"), []string{"Personal Identity Verification"})
	said := run("-A", "M:9B:03", "-G", "9A:07", "-o", w.file("opensc.pub"))
	w.tool(nil, "-a", "attest", "-s", "9a", "-o", w.file("opensc.crt")) // only of a key that the card made
	w.ssl([]string{"Public-Key: (2048 bit)"}, "x509", "-in", w.file("opensc.crt"), "-noout", "-text")
	said += run("-A", "M:9B:03", "-C", "9A", "-i", w.file("opensc.crt"))
	got := w.g.want(w.t, nil, "", Need(w.t, "pkcs15-tool", "opensc"), "--reader", w.g.Reader, "--read-certificate", "01")
	want, err := os.ReadFile(w.file("opensc.crt"))
	if err != nil || !strings.Contains(got, strings.TrimSpace(string(want))) {
		w.t.Errorf("the certificate is not on the card: %v\n%s\npiv-tool said:\n%s%s", err, got, said, w.g.trace())
	}
}
