package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestLimitsOfMachines(t *testing.T) {
	type want struct{ sessions, unauthenticated, handshakes, bytes, credential int }
	for _, tt := range []struct {
		name   string
		r      resources
		config limitConfig
		want   want
		warns  bool
	}{
		{"a host", resources{24 << 30, 1 << 20}, limitConfig{}, want{16384, 4096, 3072, 8 << 20, 2 << 20}, false},
		{"a host with ulimit -n 20000", resources{24 << 30, 20000}, limitConfig{}, want{14940, 4096, 3072, 8 << 20, 2 << 20}, false},
		{"a Zero 2 W", resources{512 << 20, 4096}, limitConfig{}, want{3012, 1004, 1024, 8 << 20, 2 << 20}, false},
		{"a small control group", resources{64 << 20, 1024}, limitConfig{}, want{708, 236, 128, 4 << 20, 2 << 20}, false},
		{"hardly any files", resources{0, 64}, limitConfig{}, want{12, 4, 0, 0, 0}, false},
		{"nothing is known", resources{}, limitConfig{}, want{16384, 0, 0, 0, 0}, false},
		{"the configuration has the last word", resources{64 << 20, 1024}, limitConfig{Sessions: 2000, Handshakes: 7, Bytes: 99}, want{2000, 236, 7, 99, 49}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			c := defaultConfig()
			c.Limits = tt.config
			l := limitsOf(c, tt.r, slog.New(slog.NewTextHandler(&log, nil)))
			if got := (want{l.Sessions, l.Unauthenticated, l.Handshakes, l.Bytes, l.CredentialBytes}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if warns := strings.Contains(log.String(), "LimitNOFILE"); warns != tt.warns {
				t.Errorf("the log: %s", &log)
			}
		})
	}
}
