package builder

import (
	"os"
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
	if err := os.WriteFile(o.boxPath(box.Name, buildsFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := o.buildTime(box, "v4", made); err == nil {
		t.Errorf("a torn file: %v", got)
	}
}
