package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

// A control group has what it and those above it allow, in both versions.
func TestGroupMemory(t *testing.T) {
	const v2, v1 = "memory.max", "memory.limit_in_bytes"
	for _, tt := range []struct {
		name, own string
		files     map[string]string
		want      int64
	}{
		{"none", "", nil, 0},
		{"version 2", "0::/tses\n", map[string]string{"tses/" + v2: "440401920\n"}, 440401920},
		{"no bound", "0::/tses\n", map[string]string{"tses/" + v2: "max\n"}, 0},
		{"bound above", "0::/system.slice/tses.service\n", map[string]string{
			"system.slice/" + v2: "1000000\n", "system.slice/tses.service/" + v2: "max\n",
		}, 1000000},
		{"less above", "0::/a/b/c\n", map[string]string{"a/" + v2: "5000\n", "a/b/" + v2: "3000\n", "a/b/c/" + v2: "4000\n"}, 3000},
		{"the root of a container", "0::/\n", map[string]string{v2: "7000\n"}, 7000},
		{"from another root", "0::/../..\n", map[string]string{v2: "7000\n"}, 7000},
		{"version 1", "9:memory:/docker/x\n3:cpu:/docker/x\n", map[string]string{"memory/docker/x/" + v1: "9000\n"}, 9000},
		{"version 1, of several", "4:cpu,memory:/x\n", map[string]string{"memory/x/" + v1: "9000\n", "memory/" + v1: "8000\n"}, 8000},
		{"version 1 without bound", "9:memory:/x\n", map[string]string{"memory/x/" + v1: "9223372036854771712\n"}, 9223372036854771712},
		{"both", "9:memory:/x\n0::/y\n", map[string]string{"memory/x/" + v1: "9000\n", "y/" + v2: "6000\n"}, 6000},
		{"another controller's", "3:cpu:/x\n1:name=systemd:/x\n", map[string]string{"x/" + v2: "1\n", "memory/x/" + v1: "1\n"}, 0},
		{"not understood", "memory\n0::/x\n\n::\n", map[string]string{"x/" + v2: "many\n"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tt.files {
				file := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := groupMemory(root, tt.own); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestMachineResources(t *testing.T) {
	if r := machineResources(); r.memory < 16<<20 || r.files < 16 {
		t.Errorf("got %+v", r)
	}
}

// The collector's limit is three quarters of the memory, unless the environment
// has set one.
func TestBoundMemory(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	t.Cleanup(func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	})
	for _, tt := range []struct {
		name        string
		memory      int64
		limit, gogc string // of the environment, "" for not set
		wantLimit   int64
		wantPercent int
	}{
		{"by itself", 4 << 30, "", "", 3 << 30, collectPercent},
		{"not known", 0, "", "", math.MaxInt64, collectPercent},
		{"GOMEMLIMIT", 4 << 30, "1GiB", "", math.MaxInt64, collectPercent},
		{"GOGC", 4 << 30, "", "200", 3 << 30, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for key, value := range map[string]string{"GOMEMLIMIT": tt.limit, "GOGC": tt.gogc} {
				t.Setenv(key, value) // and what it was before comes back
				if value == "" {
					if err := os.Unsetenv(key); err != nil {
						t.Fatal(err)
					}
				}
			}
			debug.SetMemoryLimit(math.MaxInt64)
			debug.SetGCPercent(100)
			boundMemory(resources{memory: tt.memory})
			if got := debug.SetMemoryLimit(-1); got != tt.wantLimit {
				t.Errorf("the limit is %d, want %d", got, tt.wantLimit)
			}
			if got := debug.SetGCPercent(100); got != tt.wantPercent {
				t.Errorf("GOGC is %d, want %d", got, tt.wantPercent)
			}
		})
	}
}
