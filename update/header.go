package update

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Header says what a bundle holds.
type Header struct {
	// Box is the name of the box that the bundle is for.
	Box string `json:"box"`
	// Version is how people call the system in it, and how an older one has to
	// be asked for.
	Version string `json:"version"`
	// Built is when it was built, in seconds of Unix time. Of two systems the
	// one with the greater number is the newer.
	Built int64 `json:"built"`
	// Replaces is by what else than being newer a system may take the place of
	// another: the owner's word that it may, though it is older, replace what was
	// built until then, in seconds of Unix time. Zero: it may not.
	Replaces int64 `json:"replaces,omitempty"`
	// Root is the root file system.
	Root Part `json:"root"`
	// Boot is the boot partition, nil where it stays as it is. Boot.Name is how
	// its change has to be asked for.
	Boot *Part `json:"boot,omitempty"`
}

// Part is what goes on one partition.
type Part struct {
	Name   string `json:"name,omitempty"` // of a boot partition
	Size   int64  `json:"size"`           // in bytes
	SHA256 Digest `json:"sha256"`
}

// Digest is a SHA-256 value, in hex where it is text.
type Digest [sha256.Size]byte

// MarshalText writes hex digits.
func (d Digest) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(d[:])), nil }

// UnmarshalText reads 64 hex digits.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("%d hex digits, want %d", len(text), hex.EncodedLen(len(d)))
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// String is the hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Bounds of a bundle. MaxPart is the size of a partition for roots, of which
// the last [Tail] bytes are not the file system's.
const (
	MaxHeader    = 2048
	MaxSignature = 72 // two integers of 33 bytes in DER
	MaxName      = 64
	MaxPart      = 500<<20 - Tail
	Tail         = 4096
)

// BuiltTime is when the system was built.
func (h *Header) BuiltTime() time.Time { return time.Unix(h.Built, 0).UTC() }

// String names the system in a line.
func (h *Header) String() string {
	return fmt.Sprintf("%s of %s for %s", h.Version, h.BuiltTime().Format(time.RFC3339), h.Box)
}

// check finds out whether a header can be right.
func (h *Header) check() error {
	switch {
	case !isName(h.Box):
		return fmt.Errorf("box: %w", errName)
	case !isName(h.Version):
		return fmt.Errorf("version: %w", errName)
	case h.Built <= 0 || h.Built > maxTime:
		return fmt.Errorf("built: %d s is no time in this format", h.Built)
	}
	if h.Replaces != 0 && (h.Replaces < h.Built || h.Replaces > maxTime) {
		return fmt.Errorf("replaces: %d s is before it was built, or no time in this format", h.Replaces)
	}
	if err := h.Root.check(); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if h.Root.Name != "" {
		return errors.New("root: has a name, which only a boot partition has")
	}
	if h.Boot == nil {
		return nil
	}
	if !isName(h.Boot.Name) {
		return fmt.Errorf("boot: %w", errName)
	}
	if err := h.Boot.check(); err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	return nil
}

func (p *Part) check() error {
	if p.Size <= 0 || p.Size > MaxPart || p.Size%512 != 0 {
		return fmt.Errorf("size: %d bytes; want whole sectors of 512 bytes, at most %d bytes", p.Size, int64(MaxPart))
	}
	return nil
}

// maxTime is the end of the year 9999, the last that RFC 3339 can write.
const maxTime = 253402300799

var errName = fmt.Errorf("want 1 to %d letters, digits and .-_+", MaxName)

// isName tells whether s is a word that is safe in a line of the protocol and
// in a shell.
func isName(s string) bool {
	if len(s) == 0 || len(s) > MaxName || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '-', c == '_', c == '+':
		default:
			return false
		}
	}
	return true
}

// parseHeader reads the JSON of a header.
func parseHeader(text []byte) (*Header, error) {
	h := new(Header)
	if err := strictJSON(text, h); err != nil {
		return nil, err
	}
	return h, h.check()
}

// strictJSON reads one JSON value without unknown members and without anything
// behind it.
func strictJSON(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the value")
	}
	return nil
}
