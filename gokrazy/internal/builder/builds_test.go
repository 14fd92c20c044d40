package builder

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestBuildTime(t *testing.T) {
	o, _, err := OpenOwner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	box, err := o.Box("tses-1a2b", nil)
	if err != nil {
		t.Fatal(err)
	}
	made := box.Made
	for _, tt := range []struct {
		version string
		now     time.Time
		want    time.Time
	}{
		{"v1", made.Add(time.Minute), made},
		{"v1", made.Add(time.Hour), made},
		{"v2", made.Add(time.Hour), made.Add(time.Hour)},
		{"v3", made.Add(-time.Hour), made.Add(time.Hour + time.Second)}, // the clock was set back
		{"v1", made.Add(2 * time.Hour), made},
		{"v2", made.Add(2 * time.Hour), made.Add(time.Hour)},
	} {
		got, err := o.buildTime(box, tt.version, tt.now)
		if err != nil || !got.Equal(tt.want) {
			t.Errorf("%s: %v, %v; want %v", tt.version, got, err, tt.want)
		}
	}
	// A clock that was ahead by a day is that of another machine; one that was
	// ahead by more was wrong, whatever is built now.
	ahead := made.Add(30 * time.Hour)
	if _, err := o.buildTime(box, "v4", ahead); err != nil {
		t.Fatal(err)
	}
	if got, err := o.buildTime(box, "v5", ahead.Add(-maxAhead)); err != nil || !got.Equal(ahead.Add(time.Second)) {
		t.Errorf("a day before the last build: %v, %v; want %v", got, err, ahead.Add(time.Second))
	}
	for _, version := range []string{"v1", "v6"} {
		got, err := o.buildTime(box, version, ahead.Add(-maxAhead))
		if err == nil || !strings.Contains(err.Error(), buildsFile) || !strings.Contains(err.Error(), "v5") {
			t.Errorf("%s, more than a day before: %v, %v; want an error that names file and entry", version, got, err)
		}
	}
	other, err := o.Box("tses-1a2c", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := o.buildTime(other, "v1", other.Made.Add(-maxAhead-time.Second)); err == nil || !strings.Contains(err.Error(), boxFile) {
		t.Errorf("a box of the future: %v, %v", got, err)
	}
	if err := os.WriteFile(o.boxPath(box.Name, buildsFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := o.buildTime(box, "v4", made); err == nil {
		t.Errorf("a torn file: %v", got)
	}
}
