package builder

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
)

const repository = "../../.."

// prepared is a build whose configuration is read and whose identity is there.
// It has packed nothing.
func prepared(t *testing.T, config, board string) (*build, error) {
	t.Helper()
	dir := t.TempDir()
	b := &build{Options: Options{
		Repository: repository, Owner: filepath.Join(dir, "owner"), Name: "tses-0001", Board: board, Progress: t.Output(),
	}}
	if config != "" {
		b.Config = filepath.Join(dir, "conf", "config.toml")
		if err := os.Mkdir(filepath.Dir(b.Config), 0o700); err != nil {
			t.Fatal(err)
		}
		ca, err := access.CreateAuthority(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		partner := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate().Raw}))
		for name, text := range map[string]string{b.Config: config, filepath.Join(dir, "partner.pem"): partner, filepath.Join(dir, "conf", "partner.pem"): partner} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.readConfiguration(t.Context()); err != nil {
		return nil, err
	}
	if err := b.identify(t.Context()); err != nil {
		return nil, err
	}
	return b, nil
}

const (
	chipOnBus  = "[[element]]\nseid = \"se1\"\ndriver = \"i2c\"\ncarrier = \"se050-arduino\"\n"
	cardOnUART = "[[element]]\nseid = \"sim1\"\ndriver = \"iso7816\"\ncarrier = \"sim-uart\"\n"
)

func TestConfiguration(t *testing.T) {
	for _, tt := range []struct{ name, config, board, want string }{
		{"none", "", "", ""},
		{"a software SE", "[[element]]\nseid = \"a\"\ndriver = \"softse\"\n", "", ""},
		{"an unknown key", "lissen = \"\"\n", "", "config.toml:1: unknown key \"lissen\", did you mean \"listen\"?"},
		{"a trusted CA", "[[access.trust]]\nfile = \"partner.pem\"\n", "", ""},
		{"a trusted CA that is not there", "[[access.trust]]\nfile = \"other.pem\"\n", "", "other.pem"},
		{"a trusted CA elsewhere", "[[access.trust]]\nfile = \"../partner.pem\"\n", "", "relative to the configuration"},
		{"an issuer", "[[access.rule]]\nissuer = \"partner.pem\"\nse = [\"soft1\"]\n", "", ""},
		{"an issuer by its key", "[[access.rule]]\nissuer = \"" + strings.Repeat("4f", 32) + "\"\nse = [\"soft1\"]\n", "", ""},
		{"an issuer elsewhere", "[[access.rule]]\nissuer = \"../partner.pem\"\nse = [\"soft1\"]\n", "", "relative to the configuration"},
		{"a card in a reader", "[[element]]\nseid = \"a\"\ndriver = \"pcsc\"\nreader = \"*\"\n", "", `driver "pcsc": a box has no pcscd: there is "iso7816"`},
		{"all readers", "pcsc.readers = true\n", "", "pcsc.readers: a box has no pcscd"},
		{"all addresses", "listen = \":7000\"\n", "", ""},
		{"loopback", "listen = \"127.0.0.1:7000\"\n", "", `nobody could reach the box on loopback; write "0.0.0.0:7000"`},
		{"no port", "listen = \"0.0.0.0\"\n", "", "want ADDRESS:PORT"},
		{"any port", "listen = \"0.0.0.0:0\"\n", "", "nobody could know the port"},
		{"a name to listen on", "listen = \"box.example:7000\"\n", "", "cannot look up box.example"},
		{"an address that it may not have", "listen = \"192.0.2.1:7000\"\n", "", "only with network.address"},
		{"the address that it has", "listen = \"192.0.2.1:7000\"\nnetwork.address = \"192.0.2.1/24\"\n", "", ""},
		{"a name that is an address", "names = [\"192.0.2.1\"]\n", "", "no DNS name"},
		{"a chip on a bus", chipOnBus, "", "-board"},
		{"a chip on a bus of a 4B", chipOnBus, "4b", ""},
		{"a board that is not known", "", "9z", "9z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := prepared(t, tt.config, tt.board)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

// Who ends the check of the configuration is told so, and of one that ends
// without a word why it ended.
func TestConfigurationCheckEnds(t *testing.T) {
	b, err := prepared(t, "# none\n", "")
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if err := b.checkConfiguration(ctx, b.Config); !errors.Is(err, enough) {
		t.Errorf("interrupted: %v, want %v", err, enough)
	}
	b.Repository = filepath.Join(b.Repository, "none")
	if err := b.checkConfiguration(t.Context(), b.Config); err == nil || !strings.Contains(err.Error(), "-check: ") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not started: %v, want the reason", err)
	}
}

// What stands in the instance decides what runs on the box and what listens.
func TestInstance(t *testing.T) {
	b, err := prepared(t, cardOnUART, "3b")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.instanceConfig()
	if err != nil {
		t.Fatal(err)
	}
	if c.Hostname != "tses-0001" || !slices.Equal(c.Packages, []string{daemonPkg}) || len(c.GokrazyPackages) != 0 ||
		c.EEPROMPackage != "" || !c.Update.NoPassword || c.InternalCompatibilityFlags.InitPkg != initPkg {
		t.Errorf("%+v: there is more than init and the TSES", c)
	}
	if !slices.Contains(c.BootloaderExtraLines, "dtoverlay=disable-bt") || c.SerialConsole != "disabled" {
		t.Errorf("lines %q, console %q: a card on uart0 shares it", c.BootloaderExtraLines, c.SerialConsole)
	}
	files := c.PackageConfig[daemonPkg].ExtraFileContents
	want := []string{"box-ca.key", "box-ca.pem", "build", "config.toml", "name", "owner-ca.pem", "revoked"}
	got := slices.Sorted(maps.Keys(files))
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], "/etc/tses/")
	}
	want = slices.DeleteFunc(want, func(name string) bool { return name == "revoked" }) // nobody is
	if !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	for name, text := range files {
		if strings.Contains(text, strings.TrimSpace(read(t, filepath.Join(b.Owner, "ca.key")))) || strings.Contains(text, read(t, b.result.Owner.Admin())) {
			t.Errorf("%s holds a key of the owner's", name)
		}
	}
	var stamp sdcard.Build
	if err := json.Unmarshal([]byte(files[sdcard.BuildFile]), &stamp); err != nil || !stamp.Time.Equal(b.box.Made) || !regexp.MustCompile(`^[0-9a-f]{12}-[0-9a-f]{12}$`).MatchString(stamp.Version) {
		t.Errorf("build: %+v, %v, want the time of the identity and two hashes", stamp, err)
	}
}

// The card's own files cannot be replaced by way of the configuration.
func TestTrustedCAWithTheOwnersName(t *testing.T) {
	b, err := prepared(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	b.config.files["owner-ca.pem"] = "PEM"
	if _, err := b.cardFiles(); err == nil || !strings.Contains(err.Error(), "choose another") {
		t.Errorf("error %v, want one that names the file", err)
	}
}

// Whatever gets on the card makes another version, and what does not makes the
// same: an older configuration is older for the box, and a build can be repeated.
func TestVersion(t *testing.T) {
	b, err := prepared(t, "[[access.trust]]\nfile = \"partner.pem\"\n", "")
	if err != nil {
		t.Fatal(err)
	}
	version := func() string {
		v, err := b.makeVersion()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := b.version
	if got := version(); got != first {
		t.Errorf("the same again: %s, want %s", got, first)
	}
	b.Time, b.Boot, b.Output = time.Unix(1, 0), "k2", "other.img"
	if got := version(); got != first {
		t.Errorf("at another time, for another file: %s, want %s", got, first)
	}
	seen := map[string]bool{first: true}
	for _, tt := range []struct {
		what   string
		change func()
	}{
		{"the configuration", func() { b.config.files[configFile] += "\n" }},
		{"a trusted CA", func() { b.config.files["partner.pem"] = "other" }},
		{"the name of a trusted CA", func() {
			b.config.files["other.pem"] = b.config.files["partner.pem"]
			delete(b.config.files, "partner.pem")
		}},
		{"a line for the firmware", func() { b.config.firmware.Lines = append(b.config.firmware.Lines, "dtparam=i2c_arm=on") }},
		{"no console", func() { b.config.firmware.NoConsole = true }},
		{"firmware of a Wi-Fi chip", func() { b.config.wifiFirmware = map[string][]byte{"brcm/x.bin": {1}} }},
		{"other firmware", func() { b.config.wifiFirmware["brcm/x.bin"] = []byte{2} }},
		{"a tag", func() { b.Tags = []string{"boottest"} }},
		{"a revocation", func() {
			if _, err := b.result.Owner.authority.Registry().Revoke("admin"); err != nil {
				t.Fatal(err)
			}
		}},
		{"a name", func() {
			if b.box, err = b.result.Owner.Box(b.Name, []string{"lab.example"}); err != nil {
				t.Fatal(err)
			}
		}},
		{"another box", func() {
			if b.box, err = b.result.Owner.Box("tses-0002", nil); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		tt.change()
		got := version()
		if seen[got] {
			t.Errorf("%s: it is still %s", tt.what, got)
		}
		if got[:versionDigits] != first[:versionDigits] {
			t.Errorf("%s: the sources are called %s, want %s", tt.what, got, first)
		}
		seen[got] = true
	}
}

// An older configuration comes back with the time that it had.
func TestOlderConfigurationIsOlder(t *testing.T) {
	b, err := prepared(t, "# one\n", "")
	if err != nil {
		t.Fatal(err)
	}
	made := func(config string) time.Time {
		t.Helper()
		if err := os.WriteFile(b.Config, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		again := &build{Options: b.Options}
		again.Time = time.Time{}
		if err := again.readConfiguration(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := again.identify(t.Context()); err != nil {
			t.Fatal(err)
		}
		return again.Time
	}
	one, two := made("# one\n"), made("# two\n")
	if !one.Equal(b.Time) || !two.After(one) {
		t.Errorf("the first was of %v, again of %v, the second of %v", b.Time, one, two)
	}
	if again := made("# one\n"); !again.Equal(one) {
		t.Errorf("the first configuration came back as of %v, want %v", again, one)
	}
}

func TestRevocationsGetOnTheCard(t *testing.T) {
	b, err := prepared(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	revoked, err := b.result.Owner.authority.Registry().Revoke("admin")
	if err != nil {
		t.Fatal(err)
	}
	files, err := b.cardFiles()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(files[sdcard.EtcDir+"/revoked"]); got != revoked[0].Serial {
		t.Errorf("revoked: %q, want %q", got, revoked[0].Serial)
	}
}

// A build that fails changes nothing that was there and leaves nothing behind.
func TestFailedBuild(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	output, config := filepath.Join(dir, "card.img"), filepath.Join(t.TempDir(), "config.toml")
	for name, text := range map[string]string{output: "the old one", config: "lissen = 1\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Repository: repository, Output: output, Owner: filepath.Join(t.TempDir(), "owner"), Config: config}
	if _, err := Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), "lissen") {
		t.Errorf("error %v, want the unknown key", err)
	}
	if _, err := os.Stat(o.Owner); err == nil {
		t.Error("the owner was made before the configuration was checked")
	}
	if got := read(t, output); got != "the old one" {
		t.Errorf("the image is now %q", got)
	}
	for _, d := range []string{dir, os.TempDir()} {
		left, err := os.ReadDir(d)
		if err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != "card.img" {
			t.Errorf("left in %s: %v, %v", d, left, err)
		}
	}
	o.Output = filepath.Join(dir, "card.update")
	if _, err := Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), "card.img") {
		t.Errorf("an image with the update's name: %v, want advice", err)
	}
	o.Output = os.DevNull
	if _, err := Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("onto a device: %v, want advice", err)
	}
}

func TestTreeHash(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hash := func() string {
		h, err := treeHash(dir)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	write("go.mod", "module m\n")
	write("a/a.go", "package a\n")
	first := hash()
	for _, tt := range []struct {
		name  string
		other bool
	}{
		{"README.md", false}, {"a/a_test.go", false}, {"a/testdata/x.go", false}, {".git/x.go", false}, {"card.img", false},
		{"a/b.go", true}, {"go.sum", true}, {"tools/go.mod", true},
	} {
		before := hash()
		write(tt.name, "new")
		if changed := hash() != before; changed != tt.other {
			t.Errorf("%s: the hash changed: %v, want %v", tt.name, changed, tt.other)
		}
	}
	if len(first) != 12 {
		t.Errorf("hash %q", first)
	}
}
