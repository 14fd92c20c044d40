package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/cloud-of-se/tses/boards"
	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// config is the configuration file. The package comment explains it.
type config struct {
	Listen string   `toml:"listen"`
	Names  []string `toml:"names"`
	TLS    struct {
		MinVersion string `toml:"min_version"`
	} `toml:"tls"`
	Timeouts struct {
		Handshake duration `toml:"handshake"`
		Idle      duration `toml:"idle"`
		APDU      duration `toml:"apdu"`
		Write     duration `toml:"write"`
		Drain     duration `toml:"drain"`
	} `toml:"timeouts"`
	Limits limitConfig  `toml:"limits"`
	Access accessConfig `toml:"access"`
	PCSC   struct {
		Readers bool `toml:"readers"` // serve every card that is found
	} `toml:"pcsc"`
	Elements []elementConfig `toml:"element"`

	// Of the SD card's first process, which reads the table itself; elsewhere
	// nobody's.
	Network sdcard.Network `toml:"network"`
	// AcceptLostState is the time of the loss of its state that the box's
	// owner accepts.
	AcceptLostState string `toml:"accept_lost_state"`
}

// limitConfig is package stp's Limits, but for times; 0 is what the machine bears.
type limitConfig struct {
	Sessions           int `toml:"sessions"`
	Bytes              int `toml:"buffer_bytes"`
	Unauthenticated    int `toml:"unauthenticated"`
	Handshakes         int `toml:"handshakes"`
	HandshakeBytes     int `toml:"handshake_bytes"`
	CredentialSessions int `toml:"credential_sessions"`
	CredentialBytes    int `toml:"credential_bytes"`
	CredentialSEs      int `toml:"credential_elements"`
}

// check refuses what is not a number of something.
func (l limitConfig) check() error {
	v := reflect.ValueOf(l)
	for i := range v.NumField() {
		if n := v.Field(i).Int(); n < 0 {
			return fmt.Errorf("limits.%s = %d: want 1 or more", v.Type().Field(i).Tag.Get("toml"), n)
		}
	}
	return nil
}

// elementConfig is one secure element.
type elementConfig struct {
	SEID    string   `toml:"seid"`
	Driver  string   `toml:"driver"`
	Aliases []string `toml:"aliases"`
	Share   bool     `toml:"share"` // also what keeps PIN states

	// Of the driver pcsc: globs for the reader's name and the card's answer to
	// reset in hex.
	Reader string `toml:"reader"`
	ATR    string `toml:"atr"`

	boards.Element // of the drivers of chips on this machine's buses
}

// duration is a time.Duration that TOML writes as "30s".
type duration time.Duration

// UnmarshalText reads "30s". Zero and less are refused: nothing here may wait
// for ever.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%.40q is no time; write it as \"30s\" or \"10m\"", text)
	}
	if v <= 0 {
		return fmt.Errorf("%q is not longer than 0", text)
	}
	*d = duration(v)
	return nil
}

// defaultConfig hosts two software SEs on loopback.
func defaultConfig() config {
	return config{
		Listen:   "127.0.0.1:7777",
		Elements: []elementConfig{{SEID: "soft1", Driver: "softse"}, {SEID: "soft2", Driver: "softse"}},
	}
}

// maxConfig bounds the configuration in bytes. It may be a link that a person has
// made, and is a file that not everybody can write.
const maxConfig = 1 << 20

// loadConfig reads a file over the defaults; without a name there are only these.
func loadConfig(path string) (config, error) {
	c := defaultConfig()
	if path == "" {
		return c, nil
	}
	text, err := statefile.Given(maxConfig).Read(path)
	if err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	c.Elements = nil
	meta, err := toml.Decode(string(text), &c)
	if err != nil {
		return c, cmp.Or(oldTrust(path, string(text)), decodeError(path, err))
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return c, unknownKey(path, string(text), unknown[0])
	}
	if c.Elements == nil {
		c.Elements = defaultConfig().Elements
	}
	c.Access.locate(filepath.Dir(path))
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c config) check() error {
	if err := c.checkReached(); err != nil {
		return err
	}
	if _, err := c.minVersion(); err != nil {
		return err
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	if err := c.Network.Check(); err != nil {
		return err
	}
	if _, err := time.Parse(time.RFC3339, c.AcceptLostState); c.AcceptLostState != "" && err != nil {
		return fmt.Errorf("accept_lost_state = %.40q: want the time that the log tells of the loss, such as \"2026-11-01T02:03:04Z\"", c.AcceptLostState)
	}
	if err := c.Access.check(); err != nil {
		return err
	}
	for i, e := range c.Elements {
		if e.SEID == "" {
			return fmt.Errorf("element %d has no seid", i+1)
		}
		if !slices.Contains(driverNames(), e.Driver) {
			return fmt.Errorf("element %q: driver %q is not known; there is %s", e.SEID, e.Driver, strings.Join(driverNames(), ", "))
		}
		if err := e.checkReader(); err != nil {
			return fmt.Errorf("element %q: %w", e.SEID, err)
		}
		if err := e.checkWire(); err != nil {
			return err
		}
	}
	return nil
}

func (c config) minVersion() (uint16, error) {
	switch c.TLS.MinVersion {
	case "", "1.3":
		return tls.VersionTLS13, nil
	case "1.2":
		return tls.VersionTLS12, nil
	}
	return 0, fmt.Errorf("tls.min_version = %q: want \"1.3\" or \"1.2\"", c.TLS.MinVersion)
}

// unknownKey says where an unknown key stands and which known one is nearest.
func unknownKey(path, text string, key toml.Key) error {
	err := fmt.Sprintf("%s:%d: unknown key %q", path, lineOf(text, key), key.String())
	if near := nearest(key.String(), knownKeys(reflect.TypeFor[config](), "")); near != "" {
		err += fmt.Sprintf(", did you mean %q?", near)
	}
	return errors.New(err)
}

// lineOf finds the line of a key, or of the inline table that has it. The TOML
// package knows it and does not tell.
func lineOf(text string, key toml.Key) int {
	table, line := "", 0
	for t := range strings.Lines(text) {
		line++
		t = strings.TrimSpace(t)
		if strings.HasPrefix(t, "[") {
			table = strings.Trim(strings.SplitN(t, "#", 2)[0], "[] \t")
			if table == key.String() {
				return line
			}
			continue
		}
		name, value, _ := strings.Cut(t, "=")
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		if table != "" {
			name = table + "." + name
		}
		within := strings.HasPrefix(key.String(), name+".") && strings.Contains(value, key[len(key)-1])
		if name == key.String() || within {
			return line
		}
	}
	return 1
}

// knownKeys lists the keys of the configuration with dots between their parts.
func knownKeys(t reflect.Type, prefix string) []string {
	var keys []string
	for field := range t.Fields() {
		if field.Anonymous {
			keys = append(keys, knownKeys(field.Type, prefix)...)
			continue
		}
		key := prefix + field.Tag.Get("toml")
		keys = append(keys, key)
		ft := field.Type
		if ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct {
			keys = append(keys, knownKeys(ft, key+".")...)
		}
	}
	return keys
}

// nearest is the known key with the fewest edits to key, if they are few.
func nearest(key string, known []string) string {
	best, least := "", len(key)/2+1
	for _, k := range known {
		if d := distance(key, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the insertions, deletions and replacements between two
// strings (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
