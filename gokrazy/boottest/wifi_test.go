package boottest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/gokrazy/internal/builder"
	"github.com/cloud-of-se/tses/internal/debian"
	"github.com/cloud-of-se/tses/internal/initrd"
	"github.com/cloud-of-se/tses/internal/needs"
)

// onAir is a card that is connected by Wi-Fi. The firmware of a chip that no
// emulated machine has is its maker's, and not here; that of a country's rules
// is Debian's.
var onAir Shared

func onAirCard(t *testing.T) *Card {
	t.Helper()
	needs.Asked(t, "fetches packages of Debian")
	program(t)
	rules := debian.Arm64(t, "wireless-regdb")
	firmware := filepath.Join(t.TempDir(), "firmware")
	if err := os.CopyFS(firmware, os.DirFS(filepath.Join(rules, "lib", "firmware"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(firmware, "brcm"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(firmware, "brcm", "brcmfmac43455-sdio.bin"), []byte("firmware"), 0o644); err != nil {
		t.Fatal(err)
	}
	onAir.Options = builder.Options{Config: "testdata/wifi.toml", WifiFirmware: firmware}
	return onAir.Card(t.Context(), t)
}

// The box's only way out is the air: it joins a WPA2 network of a real hostapd,
// gets its address there, and serves. When the access point goes away and comes
// back, so does the box.
func TestWifi(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	card := onAirCard(t)
	o := air(t)
	o.Card = card
	o.Append = append(o.Append, "air.flap=30")
	m := Start(ctx, t, o)
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first RACS session over the air after %.1f s", time.Since(m.Began).Seconds())
	usePIV(ctx, t, client)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	awaitAll(ctx, t, m, `country=DE`, `msg=network interface=wlan0 address=10\.77\.0\.2/24`, `(?s)air: the access point is gone.*msg=network interface=wlan0`)
	again, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	t.Logf("the second, behind an access point that was gone, after %.1f s", time.Since(m.Began).Seconds())
	usePIV(ctx, t, again)

	// The air is left when the sessions have ended, and not before.
	if err := m.PowerButton(ctx); err != nil {
		t.Fatal(err)
	}
	awaitAll(ctx, t, m, `(?s)the power button was pressed.*session ends.*AP-STA-DISCONNECTED`)
	if strings.Contains(m.Console(), "correct horse battery") {
		t.Error("the log tells the passphrase")
	}
}

// On the kernel of the card itself the driver for a Raspberry Pi's chip is
// loaded, and the rules of a country are those whose signature it knows. There
// is no chip, and the box says so.
func TestWifiDriver(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	m := Start(ctx, t, Options{Card: onAirCard(t)})
	awaitAll(ctx, t, m, `Wi-Fi: .*brcmfmac`, `Wi-Fi: the radio keeps to the rules of a country.*country=DE`, `no Wi-Fi interface`, `RACS ready`)
}

// air is a machine with two radios, an access point at the second, and Debian's
// kernel, which simulates them.
func air(t *testing.T) Options {
	t.Helper()
	program(t)
	kernel := debian.Kernel(t)
	root := debian.Arm64(t, "hostapd", "libc6", "libnl-3-200", "libnl-genl-3-200", "libnl-route-3-200", "libssl3")
	files, err := initrd.Dir(root, func(name string) bool {
		return strings.HasSuffix(name, "sbin/hostapd") || strings.Contains(filepath.Base(name), ".so") && !strings.Contains(name, "gconv")
	})
	if err != nil {
		t.Fatal(err)
	}
	files["hostapd.conf"] = initrd.File{Data: readFile(t, "testdata/hostapd.conf")}
	modules := kernel.Modules(t, "virtio_pci", "virtio_blk", "virtio_net", "squashfs", "ext4", "crc32c_generic", "gpio_pl061", "gpio_keys", "evdev", "ccm", "ctr", "cmac", "mac80211_hwsim")
	for i, file := range modules {
		files[fmt.Sprintf("modules/%02d-%s", i, filepath.Base(file))] = initrd.File{Data: readFile(t, file)}
	}
	dir := t.TempDir()
	stage := filepath.Join(dir, "air")
	cmd := exec.Command("go", "build", "-o", stage, "-ldflags=-s -w", "./internal/air")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	archive := filepath.Join(dir, "initrd")
	if err := os.WriteFile(archive, initrd.Archive(readFile(t, stage), files), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{Kernel: kernel.Image, Initrd: archive, Append: []string{"rdinit=/init"}, Args: []string{"-m", "512"}}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
