package debian

import (
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cloud-of-se/tses/internal/needs"
)

// fetched leaves a test out where nobody wants a kernel to be fetched.
func fetched(t *testing.T) {
	t.Helper()
	needs.Asked(t, "fetches packages of Debian")
}

func TestArm64(t *testing.T) {
	fetched(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	root := Arm64(t, "libcrypt1", "libgcc-s1")
	for _, name := range []string{"libcrypt.so.1", "libgcc_s.so.1"} {
		found, err := filepath.Glob(filepath.Join(root, "lib", "aarch64-linux-gnu", name))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %q, %v", name, found, err)
		}
		f, err := elf.Open(found[0])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != elf.EM_AARCH64 {
			t.Errorf("%s is for %v", name, f.Machine)
		}
	}
	t.Setenv("PATH", "") // the second time nothing is needed
	if again := Arm64(t, "libgcc-s1", "libcrypt1"); again != root {
		t.Errorf("got %s, and %s before", again, root)
	}
}

// TestModules wants what Wi-Fi of a simulated radio takes, in an order in which
// it can be loaded.
func TestModules(t *testing.T) {
	fetched(t)
	k := Kernel(t)
	if _, err := os.Stat(k.Image); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range k.Modules(t, "mac80211_hwsim", "virtio-net", "ipv6") {
		got = append(got, moduleName(file))
	}
	before := [][2]string{{"rfkill", "cfg80211"}, {"cfg80211", "mac80211"}, {"libarc4", "mac80211"}, {"mac80211", "mac80211_hwsim"}, {"net_failover", "virtio_net"}}
	for _, pair := range before {
		first, second := slices.Index(got, pair[0]), slices.Index(got, pair[1])
		if first < 0 || second < first {
			t.Errorf("%s is not before %s in %q", pair[0], pair[1], got)
		}
	}
}
