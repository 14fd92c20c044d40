package builder

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
		b.Config = filepath.Join(dir, "config.toml")
		for name, text := range map[string]string{b.Config: config, filepath.Join(dir, "partner.pem"): "PEM"} {
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
		{"a trusted CA", "[access]\ntrust = [\"partner.pem\"]\n", "", ""},
		{"a trusted CA that is not there", "[access]\ntrust = [\"other.pem\"]\n", "", "other.pem"},
		{"a trusted CA elsewhere", "[access]\ntrust = [\"../partner.pem\"]\n", "", "relative to the configuration"},
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
	if err := json.Unmarshal([]byte(files[sdcard.BuildFile]), &stamp); err != nil || !stamp.Time.Equal(b.box.Made) || len(stamp.Version) != 12 {
		t.Errorf("build: %+v, %v, want the time of the identity and a hash of the sources", stamp, err)
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
