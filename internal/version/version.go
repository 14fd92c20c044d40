// Package version says which version a program is, for people who ask it and for
// the log of a start.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// released is set by go run ./release:
// -ldflags "-X github.com/cloud-of-se/tses/internal/version.released=v1.2.3".
var released string

// String is the version with the Go and the machine that it was built for:
// "v1.2.3 (go1.26.0, linux/arm64)".
func String() string {
	return fmt.Sprintf("%s (%s, %s/%s)", Short(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// Short is the version alone: that of the release or of the module; the revision
// of the sources where there is neither; and "devel" where go run, which does not
// note it, or a build without VCS has made the program.
func Short() string {
	info, _ := debug.ReadBuildInfo() // nil where there is none
	return of(released, info)
}

// shown is how much of a revision is shown, in hex digits.
const shown = 12

func of(released string, info *debug.BuildInfo) string {
	if released != "" {
		return released
	}
	if info == nil {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision == "" {
		return "devel"
	}
	revision = revision[:min(shown, len(revision))]
	if settings["vcs.modified"] == "true" {
		revision += "+dirty"
	}
	return revision
}
