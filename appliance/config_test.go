package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"seid", "sied", 2}, {"ab", "ba", 2}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := knownKeys(reflect.TypeFor[config](), "")
	for key, want := range map[string]string{
		"lsten": "listen", "Listn": "listen", "tls.minversion": "tls.min_version", "element.alias": "element.aliases",
		"access.rules": "access.rule", "access.rule.ses": "access.rule.se", "timeout.idle": "timeouts.idle", "limits.session": "limits.sessions",
		"color": "", "x": "",
	} {
		if got := nearest(key, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestLineOf(t *testing.T) {
	const text = `# listen = 1
listen = "a"
tls . x = 1
tls.y = 2

[tls] # listen
min_version = "1.2"
"quoted" = 1
limits = { sessions = 1 }
[[element]]
seid = "a"
[[ element ]]
sied = "b"
  [access.deep]
z = 1
`
	for _, tt := range []struct {
		key  toml.Key
		want int
	}{
		{toml.Key{"listen"}, 2}, {toml.Key{"tls", "y"}, 4}, {toml.Key{"tls"}, 6}, {toml.Key{"tls", "min_version"}, 7}, {toml.Key{"tls", "quoted"}, 8},
		{toml.Key{"tls", "limits", "sessions"}, 9}, {toml.Key{"element", "seid"}, 11}, {toml.Key{"element", "sied"}, 13},
		{toml.Key{"access", "deep"}, 14}, {toml.Key{"access", "deep", "z"}, 15}, {toml.Key{"nowhere"}, 1},
	} {
		if got := lineOf(text, tt.key); got != tt.want {
			t.Errorf("line of %s: %d, want %d", tt.key, got, tt.want)
		}
	}
}

func TestLoadConfig(t *testing.T) {
	if got, err := loadConfig(""); err != nil || !cmp.Equal(got, defaultConfig()) {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	file := writeConfig(t, `
listen = "0.0.0.0:1"
names = ["a.example"]
tls.min_version = "1.2"
timeouts = { handshake = "1s", idle = "2m", apdu = "3s", write = "4s", drain = "5ms" }
limits.sessions = 6
[[access.trust]]
file = "/abs.pem"
planes = ["user"]
se = ["a"]
[[access.rule]]
name = "bob"
issuer = "/abs.pem"
se = ["a"]
planes = ["user"]
[[access.rule]]
others = true
serial = ""
se = ["a"]
[[element]]
seid = "a"
driver = "softse"
aliases = ["b"]
`)
	var want config
	want.Listen, want.Names, want.TLS.MinVersion, want.Limits.Sessions = "0.0.0.0:1", []string{"a.example"}, "1.2", 6
	tm := &want.Timeouts
	tm.Handshake, tm.Idle, tm.APDU, tm.Write, tm.Drain = duration(time.Second), duration(2*time.Minute), duration(3*time.Second), duration(4*time.Second), duration(5*time.Millisecond)
	want.Access.Trust = []trust{{File: "/abs.pem", Planes: []string{"user"}, SEs: []string{"a"}}}
	want.Access.Rules = []rule{{Name: "bob", Issuer: "/abs.pem", SEs: []string{"a"}, Planes: []string{"user"}}, {Others: true, SEs: []string{"a"}}}
	want.Elements = []elementConfig{{SEID: "a", Driver: "softse", Aliases: []string{"b"}}}
	got, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := loadConfig(writeConfig(t, `listen = ":1"`)); err != nil || len(got.Elements) != 2 {
		t.Errorf("a file without elements: %+v, %v; want soft1 and soft2", got.Elements, err)
	}
}
