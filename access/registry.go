package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile"
)

const registryFile = "credentials.json"

// maxRegistry bounds the registry in bytes: some 60,000 credentials.
const maxRegistry = 16 << 20

// Entry is one credential in the registry.
type Entry struct {
	Serial   string    `json:"serial"`
	Issuer   string    `json:"issuer,omitempty"` // [KeyID] of the CA; "": every CA's credential with the serial is meant
	Name     string    `json:"name,omitempty"`
	Planes   []string  `json:"planes,omitempty"`
	SEs      []string  `json:"se,omitempty"`
	Issued   time.Time `json:"issued,omitzero"`
	NotAfter time.Time `json:"not_after,omitzero"`
	Revoked  time.Time `json:"revoked,omitzero"`
}

// ID is that of the entry's credential. Without an issuer, as older registries
// and people write it, it stands for the serial number of every CA.
func (e Entry) ID() ID { return ID{Issuer: e.Issuer, Serial: e.Serial} }

// State is "valid", "revoked" or "expired".
func (e Entry) State(now time.Time) string {
	switch {
	case !e.Revoked.IsZero():
		return "revoked"
	case !e.NotAfter.IsZero() && now.After(e.NotAfter):
		return "expired"
	}
	return "valid"
}

// Registry is the file that lists the issued and the revoked credentials. It
// holds no secrets. Programs that change it at the same time wait for each
// other.
type Registry struct{ path string }

// ErrNoCredential says that the registry knows no such credential.
var ErrNoCredential = errors.New("no such credential")

// ErrRegistry says that the registry is gone or cannot be read, and with it
// which credentials are revoked.
var ErrRegistry = errors.New("the registry of credentials cannot be read")

// Entries reads the registry. One that is missing is an error: with it, all
// revocations would be forgotten.
func (r *Registry) Entries() ([]Entry, error) {
	b, err := statefile.Secret(maxRegistry).Read(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w; it says which credentials are revoked: restore it from a copy, or, if none was ever revoked, write [] into it, with mode 0600", ErrRegistry, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRegistry, err)
	}
	entries, err := parseEntries(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w; restore it from a copy", ErrRegistry, r.path, err)
	}
	return entries, nil
}

// lostSuffix ends the name that a registry gets that could not be read.
const lostSuffix = ".lost"

// RenewRegistry begins the registry of a box anew that cannot be read, for a box
// that nobody can restore files on. Whose number stands anywhere in what is left
// of the old one may have been revoked, which cannot be judged any more: all of
// them are revoked. A box issues no credentials, so that it has no other
// entries than those. refused is how many they are. The old file is kept beside
// the new one.
func RenewRegistry(state string) (refused int, err error) {
	r := (&Authority{dir: state}).Registry()
	lost := r.path + lostSuffix
	if err := os.Rename(r.path, lost); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("registry of credentials: set aside: %w", err)
	}
	entries := []Entry{}
	now := time.Now().UTC().Truncate(time.Second)
	for _, serial := range serialsIn(lost) {
		entries = append(entries, Entry{Serial: serial, Revoked: now})
	}
	b, err := json.MarshalIndent(entries, "", "  ")
	if err == nil {
		err = statefile.Write(r.path, append(b, '\n'), 0o600)
	}
	if err != nil {
		return 0, fmt.Errorf("registry of credentials: begin anew: %w", err)
	}
	return len(entries), nil
}

// serialInText is a serial number of a credential in a text that is not
// understood otherwise.
var serialInText = regexp.MustCompile(`[0-9A-Fa-f]{8,40}`)

// serialsIn are the serial numbers in what is left of a registry.
func serialsIn(path string) []string {
	f, err := statefile.Left(0).Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	// What can be read before an error is better than nothing.
	text, _ := io.ReadAll(io.LimitReader(f, maxRegistry))
	var serials []string
	for _, found := range serialInText.FindAllString(string(text), -1) {
		serials = append(serials, NormalSerial(found))
	}
	slices.Sort(serials)
	return slices.Compact(serials)
}

// parseEntries reads a whole registry. What is cut short, or has something
// behind it, could lack revocations.
func parseEntries(b []byte) ([]Entry, error) {
	var entries []Entry
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&entries); err != nil {
		return nil, fmt.Errorf("no list of credentials: %w", err)
	}
	if _, err := d.Token(); entries == nil || err != io.EOF {
		return nil, errors.New("no list of credentials, or something behind it")
	}
	for i := range entries {
		e := &entries[i] // people edit files
		e.Serial, e.Issuer = NormalSerial(e.Serial), strings.ToLower(strings.ReplaceAll(e.Issuer, ":", ""))
		// A revocation that speaks of nobody would be none.
		if !hexSerial.MatchString(e.Serial) || e.Issuer != "" && !hexKeyID.MatchString(e.Issuer) {
			return nil, fmt.Errorf("entry %d: serial %.80q, issuer %.80q: want hex digits, and 64 of them for the SHA-256 of the issuer's public key", i+1, e.Serial, e.Issuer)
		}
	}
	return entries, nil
}

// foreignSerial is what a serial number of another CA's credential looks like.
var foreignSerial = regexp.MustCompile(`^[0-9a-f]{8,40}$`)

// Revoke revokes the credential with a serial number, or all with a name that
// are not revoked yet, and returns them. A serial number of 8 digits or more
// that was not issued here is revoked too, whatever CA that the TSES trusts it is
// of; [Registry.RevokeID] revokes that of one CA. It fails with [ErrNoCredential] where there is nothing to revoke.
func (r *Registry) Revoke(nameOrSerial string) (revoked []Entry, err error) {
	err = r.update(func(entries []Entry) ([]Entry, error) {
		serial := NormalSerial(nameOrSerial)
		// That of another CA is another one, though it may have the number.
		meant := func(e Entry) bool {
			return e.Name == nameOrSerial || e.Serial == serial && (e.Issuer == "" || !e.Issued.IsZero())
		}
		for i := range entries {
			e := &entries[i]
			if e.Revoked.IsZero() && meant(*e) {
				e.Revoked = time.Now().UTC().Truncate(time.Second)
				revoked = append(revoked, *e)
			}
		}
		if !slices.ContainsFunc(entries, meant) && foreignSerial.MatchString(serial) {
			revoked = []Entry{{Serial: serial, Revoked: time.Now().UTC().Truncate(time.Second)}}
			entries = append(entries, revoked...)
		}
		if revoked == nil {
			return nil, fmt.Errorf("revoke %q: %w that is not revoked already; 'credential list' shows all", nameOrSerial, ErrNoCredential)
		}
		return entries, nil
	})
	return revoked, err
}

// RevokeID revokes a certificate of a CA that the TSES trusts, be it a user's or
// that of a CA below it. It fails with [ErrNoCredential] where it is revoked
// already.
func (r *Registry) RevokeID(id ID) (revoked Entry, err error) {
	id.Serial, id.Issuer = NormalSerial(id.Serial), strings.ToLower(id.Issuer)
	if !hexSerial.MatchString(id.Serial) || !hexKeyID.MatchString(id.Issuer) {
		return Entry{}, fmt.Errorf("revoke %v: want a serial number of 1 to 40 hex digits, and the SHA-256 of its CA's public key", id)
	}
	err = r.update(func(entries []Entry) ([]Entry, error) {
		i := slices.IndexFunc(entries, func(e Entry) bool { return e.ID() == id })
		if i < 0 {
			entries = append(entries, Entry{Serial: id.Serial, Issuer: id.Issuer})
			i = len(entries) - 1
		}
		if !entries[i].Revoked.IsZero() {
			return nil, fmt.Errorf("revoke %v: %w that is not revoked already", id, ErrNoCredential)
		}
		entries[i].Revoked = time.Now().UTC().Truncate(time.Second)
		revoked = entries[i]
		return entries, nil
	})
	return revoked, err
}

func (r *Registry) add(c *Credential) error {
	return r.update(func(entries []Entry) ([]Entry, error) {
		return append(entries, Entry{
			Serial: c.Serial, Issuer: c.Issuer, Name: c.Name, Planes: c.Planes.Names(), SEs: c.SEs,
			Issued: time.Now().UTC().Truncate(time.Second), NotAfter: c.NotAfter,
		}), nil
	})
}

// create makes an empty registry; one that is there stays.
func (r *Registry) create() error {
	if _, err := os.Lstat(r.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return statefile.Write(r.path, []byte("[]\n"), 0o600)
}

// registryWait bounds the wait for another process that changes the registry: who
// has its lock writes one small file.
const registryWait = 30 * time.Second

// update changes the registry under a lock that other processes respect.
func (r *Registry) update(change func([]Entry) ([]Entry, error)) error {
	lock, err := statefile.Lock(context.Background(), r.path+".lock", registryWait)
	if err != nil {
		return fmt.Errorf("registry of credentials: %w", err)
	}
	defer lock.Close() // gives the lock free, even if the process dies before
	entries, err := r.Entries()
	if err != nil {
		return err
	}
	if entries, err = change(entries); err != nil {
		return err
	}
	b, err := json.MarshalIndent(entries, "", "  ")
	if err != nil {
		return err
	}
	if b = append(b, '\n'); len(b) > maxRegistry {
		return fmt.Errorf("registry of credentials: with another one %s would have more than the %d bytes that are read of it; take expired credentials out of it", r.path, maxRegistry)
	}
	return statefile.Write(r.path, b, 0o600)
}
