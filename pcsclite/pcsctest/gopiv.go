//go:build unix

package pcsctest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// goPIVModule is the library whose own tests are run.
const goPIVModule = "github.com/go-piv/piv-go/v2@v2.6.0"

// goPIVFails are the tests of go-piv that this card cannot pass, and why. What
// is inside of one counts as well.
var goPIVFails = map[string]string{
	"TestYubiKeySignRSA":     "rsa1024: the card refuses RSA of 1,024 bits",
	"TestYubiKeySignRSAPSS":  "rsa1024",
	"TestYubiKeyDecryptRSA":  "rsa1024",
	"TestYubiKeyGenerateKey": "rsa_1024",
	"TestSetRSAPrivateKey":   "rsa_1024, and rsa_512 which Go refuses to make",
	"TestKeyInfo":            "rsa_1024, made and imported",
	"TestTLS13":              "its key has 1,024 bits",
	"TestYubiKeyAttestation": "it wants a chain to Yubico's own CA",
}

// goPIVInside are the parts that may fail inside of those.
var goPIVInside = regexp.MustCompile(`/(Generated_|Imported_)?rsa_?(1024|512)$`)

// GoPIV runs go-piv's own test suite against a fresh PIV application in a
// reader with "yubikey" in its name. It wants cgo and libpcsclite; three of its
// tests are for a fingerprint reader and skip themselves.
func GoPIV(t *testing.T, g Target) {
	Need(t, "gcc", "gcc")
	Need(t, "pkg-config", "pkg-config")
	if err := exec.Command("pkg-config", "libpcsclite").Run(); err != nil {
		Missing(t, "libpcsclite's header (Debian package libpcsclite-dev)")
	}
	dir, binary := moduleDir(t, goPIVModule), filepath.Join(t.TempDir(), "piv.test")
	build := exec.Command("go", "test", "-C", dir, "-c", "-o", binary, "./piv")
	build.Env = append(os.Environ(), "CGO_ENABLED=1", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build go-piv's tests: %v\n%s", err, out)
	}
	cmd := g.Command(t, 3*time.Minute, binary, "-wipe-yubikey", "-test.v")
	cmd.Dir = filepath.Join(dir, "piv")
	out, runErr := cmd.CombinedOutput() // fails for the tests that are known
	passed := 0
	for _, m := range regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (\S+)`).FindAllStringSubmatch(string(out), -1) {
		result, name := m[1], m[2]
		parent, _, inner := strings.Cut(name, "/")
		switch why := goPIVFails[parent]; {
		case result == "PASS":
			passed++
		case result == "SKIP" || why != "" && (!inner || goPIVInside.MatchString(name)):
		default:
			t.Errorf("go-piv: %s fails", name)
		}
	}
	t.Logf("go-piv: %d tests and parts of tests pass", passed)
	if passed < 100 || t.Failed() {
		t.Fatalf("go-piv: %v\n%s", runErr, out)
	}
}

// moduleDir finds a module in the cache, where it is fetched to if need be.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir() // outside of any module
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	var found struct{ Dir string }
	if jsonErr := json.Unmarshal(out, &found); err != nil || jsonErr != nil || found.Dir == "" {
		Missing(t, module+" from the module proxy")
	}
	return found.Dir
}
