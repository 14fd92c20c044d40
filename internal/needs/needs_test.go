package needs

import (
	"runtime"
	"testing"
)

// said is a test that notes how it was ended.
type said struct {
	testing.TB
	how string
}

func (s *said) Helper()      {}
func (s *said) Skip(...any)  { s.how = "skipped"; runtime.Goexit() }
func (s *said) Fatal(...any) { s.how = "failed"; runtime.Goexit() }

func TestLevels(t *testing.T) {
	for _, tt := range []struct{ value, missing, asked, ended string }{
		{"", "skipped", "skipped", "skipped"},
		{"0", "skipped", "skipped", "skipped"},
		{"1", "failed", "run", "skipped"},
		{"full", "failed", "run", "run"},
	} {
		t.Setenv("TSES_TEST_ALL", tt.value)
		for _, f := range []struct {
			name, want string
			call       func(testing.TB, string)
		}{{"Missing", tt.missing, Missing}, {"Asked", tt.asked, Asked}, {"Ended", tt.ended, Ended}} {
			s := &said{how: "run"}
			done := make(chan struct{})
			go func() {
				defer close(done)
				f.call(s, "why")
			}()
			if <-done; s.how != f.want {
				t.Errorf("TSES_TEST_ALL=%s: %s: %s, want %s", tt.value, f.name, s.how, f.want)
			}
		}
	}
}
