//go:build unix

package pcsctest

import (
	"strings"
	"testing"
)

// OpenPGP goes with gpg, its scdaemon, and ssh by gpg-agent through the life of
// a fresh OpenPGP application: keys made in the card and brought to it, used,
// PINs, hashed PINs, and the factory reset, which leaves it fresh. Then ykman
// and OpenSC look at it.
func OpenPGP(t *testing.T, g Target) {
	for _, step := range []struct {
		name string
		run  func(*gpgHome)
	}{
		{"generate", generated}, {"keytocard", toCard}, {"PINs", pinsOfGPG}, {"KDF", hashed},
	} {
		t.Run(step.name, func(t *testing.T) {
			h := newGPGHome(t, g)
			h.status("Version ..........: 3.4", "PIN retry counter : 3 0 3", "Signature counter : 0", "KDF setting ......: off", "[none]")
			step.run(h)
			h.factoryReset()
		})
	}
	t.Run("others", func(t *testing.T) { openPGPTools(t, g) })
}

func (h *gpgHome) factoryReset() {
	h.t.Helper()
	h.card([]string{"factory-reset"}, map[string][]string{"cardedit.factory-reset.proceed": {"y"}, "cardedit.factory-reset.really": {"yes"}})
	h.status("PIN retry counter : 3 0 3", "Key attributes ...: rsa2048 rsa2048 rsa2048", "KDF setting ......: off", "Signature key ....: [none]")
}

// generated makes keys in the card, on the curves that gpg uses by itself.
func generated(h *gpgHome) {
	h.card([]string{"key-attr", "forcesig"}, map[string][]string{"cardedit.genkeys.algo": {"2"}, "keygen.curve": {"1"}})
	h.status("Key attributes ...: ed25519 cv25519 ed25519", "Signature PIN ....: not forced")
	h.card([]string{"generate"}, map[string][]string{
		"cardedit.genkeys.backup_enc": {"n"}, "keygen.valid": {"0"},
		"keygen.name": {"In the card"}, "keygen.email": {"card@example.org"}, "keygen.comment": {""},
	})
	h.use("card@example.org")
	h.ssh("ssh-ed25519")
	h.card([]string{"name", "url", "login", "lang", "sex"}, map[string][]string{
		"keygen.smartcard.surname": {"Doe"}, "keygen.smartcard.givenname": {"Jo"},
		"cardedit.change_url": {"https://example.org/key"}, "cardedit.change_login": {"jo"},
		"cardedit.change_lang": {"en"}, "cardedit.change_sex": {"u"},
	})
	h.status("Name of cardholder: Jo Doe", "https://example.org/key", "Login data .......: jo", "Language prefs ...: en")
}

// toCard makes keys outside and brings them to the card.
func toCard(h *gpgHome) {
	for _, k := range []struct{ name, primary, sub, want string }{
		{"rsa", "Key-Type: RSA\nKey-Length: 2048", "Subkey-Type: RSA\nSubkey-Length: 2048", "rsa2048 rsa2048"},
		{"nist", "Key-Type: ECDSA\nKey-Curve: nistp384", "Subkey-Type: ECDH\nSubkey-Curve: nistp256", "nistp384 nistp256"},
		{"djb", "Key-Type: EdDSA\nKey-Curve: ed25519", "Subkey-Type: ECDH\nSubkey-Curve: cv25519", "ed25519 cv25519"},
	} {
		who := k.name + "@example.org"
		h.write("parameters", "%no-protection\n"+k.primary+"\nKey-Usage: sign\n"+k.sub+"\nSubkey-Usage: encrypt\nName-Email: "+who+"\n%commit\n")
		h.run(nil, h.gpg, "--batch", "--gen-key", "parameters")
		h.edit(map[string][]string{
			"keyedit.prompt":                {"keytocard", "key 1", "keytocard", "save"},
			"keyedit.keytocard.use_primary": {"y"}, "cardedit.genkeys.storekeytype": {"1", "2"}, "cardedit.genkeys.replace_key": {"y"},
		}, "--edit-key", who)
		h.status("Key attributes ...: " + k.want)
		h.use(who)
	}
}

// use signs and decrypts with the keys in the card.
func (h *gpgHome) use(who string) {
	h.t.Helper()
	h.write("message", "to be read by "+who)
	h.run(nil, h.gpg, "--batch", "--yes", "--local-user", who, "--output", "signature", "--detach-sign", "message")
	h.run([]string{"Good signature"}, h.gpg, "--batch", "--verify", "signature", "message")
	h.run(nil, h.gpg, "--batch", "--yes", "--trust-model", "always", "--recipient", who, "--output", "cipher", "--encrypt", "message")
	h.run([]string{"to be read by " + who}, h.gpg, "--batch", "--decrypt", "cipher")
}

// ssh authenticates with the card's key as ssh does, and ssh-keygen judges.
func (h *gpgHome) ssh(kind string) {
	h.t.Helper()
	Need(h.t, "ssh-keygen", "openssh-client")
	public := h.run([]string{kind, "cardno:"}, "ssh-add", "-L")
	h.write("key.pub", public)
	h.write("allowed", "me "+public)
	h.run(nil, "ssh-keygen", "-Y", "sign", "-f", "key.pub", "-n", "file", "message")
	cmd := h.command("ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "me", "-n", "file", "-s", "message.sig")
	cmd.Stdin = strings.NewReader("to be read by card@example.org")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Good") {
		h.t.Errorf("ssh-keygen: %v\n%s", err, out)
	}
}

// pinsOfGPG changes PINs, enters wrong ones, and gives new ones.
func pinsOfGPG(h *gpgHome) {
	menu := func(number string) {
		h.edit(map[string][]string{"cardutil.change_pin.menu": {number, "q"}}, "--change-pin")
	}
	h.write("new.user", "654321")
	h.write("new.admin", "87654321")
	menu("1")
	menu("3")
	h.status("PIN retry counter : 3 0 3")
	serial := strings.TrimSpace(strings.TrimPrefix(strings.Split(h.run(nil, "gpg-connect-agent", "scd serialno", "/bye"), "\n")[0], "S SERIALNO "))
	if out, _ := h.try("gpg-connect-agent", "scd checkpin "+serial, "/bye"); !strings.Contains(out, "Bad PIN") {
		h.t.Errorf("a wrong PIN: %s", out)
	}
	h.status("PIN retry counter : 2 0 3")
	h.pins("654321", "87654321")
	h.run([]string{"OK"}, "gpg-connect-agent", "scd checkpin "+serial, "/bye")
	h.status("PIN retry counter : 3 0 3")
	h.write("new.user", "111111")
	menu("2") // unblock
	h.pins("111111", "87654321")
	h.run([]string{"OK"}, "gpg-connect-agent", "scd checkpin "+serial, "/bye")
}

// hashed has gpg hash the PINs from now on.
func hashed(h *gpgHome) {
	h.card([]string{"kdf-setup", "key-attr"}, map[string][]string{"cardedit.genkeys.algo": {"2"}, "keygen.curve": {"1"}})
	h.status("KDF setting ......: on")
	h.card([]string{"generate"}, map[string][]string{
		"cardedit.genkeys.backup_enc": {"n"}, "keygen.valid": {"0"},
		"keygen.name": {"Hashed"}, "keygen.email": {"hashed@example.org"}, "keygen.comment": {""},
	})
	h.use("hashed@example.org")
}

// openPGPTools are those of others, of which some only look.
func openPGPTools(t *testing.T, g Target) {
	ykman := Need(t, "ykman", "yubikey-manager")
	g.want(t, []string{"OpenPGP version: 3.4", "PIN tries remaining: 3", "Admin PIN tries remaining: 3"}, "", ykman, "openpgp", "info")
	g.want(t, nil, "", ykman, "openpgp", "access", "set-retries", "-f", "-a", "12345678", "5", "4", "6")
	g.want(t, []string{"PIN tries remaining: 5", "Admin PIN tries remaining: 6"}, "", ykman, "openpgp", "info")
	g.want(t, []string{"Success"}, "", ykman, "openpgp", "reset", "-f")
	g.want(t, []string{"PIN tries remaining: 3"}, "", ykman, "openpgp", "info")
	g.want(t, []string{"Gender:"}, "", Need(t, "openpgp-tool", "opensc"), "--reader", g.Reader, "--user-info")
	g.want(t, []string{"OpenPGP"}, "", Need(t, "opensc-tool", "opensc"), "--reader", g.Reader, "--card-driver", "openpgp", "-n")
}
