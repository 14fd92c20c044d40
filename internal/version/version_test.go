package version

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	module := func(v string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: v}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	for _, tt := range []struct {
		name, released string
		info           *debug.BuildInfo
		want           string
	}{
		{"nothing is known", "", nil, "devel"},
		{"go run", "", module("(devel)"), "devel"},
		{"a test", "", module(""), "devel"},
		{"go install", "", module("v1.2.3"), "v1.2.3"},
		{"a revision", "", module("(devel)", revision), "0123456789ab"},
		{"a changed tree", "", module("", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "0123456789ab+dirty"},
		{"a short revision", "", module("", debug.BuildSetting{Key: "vcs.revision", Value: "7"}), "7"},
		{"a release", "v2.0.0", module("v1.2.3"), "v2.0.0"},
	} {
		if got := of(tt.released, tt.info); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := String(); !strings.HasPrefix(got, Short()+" (go1.") || !strings.HasSuffix(got, ")") {
		t.Errorf("String() = %q", got)
	}
}
