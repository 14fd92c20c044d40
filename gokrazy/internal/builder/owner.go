package builder

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/internal/statefile"
)

// The files of an owner besides those of package access.
const (
	adminFile = "credentials/admin.pem"
	boxesDir  = "boxes"

	boxFile     = "box.json"
	boxCertFile = "ca.pem"
	boxKeyFile  = "ca.key"

	adminLife = 2 * 365 * 24 * time.Hour
)

// Owner is who boxes belong to: a CA that stays with the person who makes the
// cards, an administrator's credential, and the identities of the boxes.
type Owner struct {
	Dir       string
	authority *access.Authority
}

// OpenOwner opens an owner's directory, and makes it where there is none.
// made says that it was.
func OpenOwner(dir string) (o *Owner, made bool, err error) {
	if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(adminFile)), 0o700); err != nil {
		return nil, false, fmt.Errorf("owner: %w", err)
	}
	a, err := access.OpenAuthority(dir)
	if errors.Is(err, access.ErrNoAuthority) {
		made = true
		a, err = access.CreateOwner(dir)
	}
	if err != nil {
		return nil, false, fmt.Errorf("owner: %w", err)
	}
	if !a.HasKey() {
		return nil, false, fmt.Errorf("owner: %w: a card has to be signed; put it back at %s while you make one", access.ErrNoKey, a.KeyPath())
	}
	o = &Owner{dir, a}
	return o, made, o.issueAdmin()
}

// CA and Admin are the files that connect to a box.
func (o *Owner) CA() string    { return o.authority.CertificatePath() }
func (o *Owner) Admin() string { return filepath.Join(o.Dir, adminFile) }

// issueAdmin issues the administrator's credential once. An owner who has moved
// it away does not get another. The file of what is being made is there from
// before it is issued until the credential has its own name: where that is found,
// or an empty credential, an earlier run did not come to its end, and nobody has
// what it issued.
func (o *Owner) issueAdmin() (err error) {
	entries, err := o.authority.Registry().Entries()
	if err != nil {
		return fmt.Errorf("owner: %w", err)
	}
	part := o.Admin() + ".part"
	_, interrupted := os.Lstat(part)
	info, missing := os.Lstat(o.Admin())
	empty := missing == nil && info.Mode().IsRegular() && info.Size() == 0
	issued := slices.ContainsFunc(entries, func(e access.Entry) bool { return e.Name == "admin" })
	switch {
	case issued && missing == nil && !empty:
		// All but the end of it was done.
		if interrupted == nil {
			err = os.Remove(part)
		}
		return err
	case issued && interrupted != nil && !empty:
		return nil
	case missing == nil && !empty:
		return fmt.Errorf("owner: administrator's credential: %w", o.foreignAdmin())
	case empty:
		if err := os.Remove(o.Admin()); err != nil {
			return fmt.Errorf("owner: administrator's credential: %w", err)
		}
	}
	if interrupted == nil { // half a credential, or something that nobody should write into
		if err := os.Remove(part); err != nil {
			return fmt.Errorf("owner: administrator's credential: %w", err)
		}
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("owner: administrator's credential: %w", err)
	}
	_, text, err := o.authority.Issue(access.Order{Name: "admin", Planes: access.User | access.Administrative, Life: adminLife})
	defer clear(text)
	if err == nil {
		_, err = f.Write(text)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(part, o.Admin()) // which replaces nothing
		switch {
		case errors.Is(err, fs.ErrExist):
			err = o.foreignAdmin()
		case err != nil: // a stick's file system has no links
			return os.Rename(part, o.Admin())
		}
	}
	if err = errors.Join(err, os.Remove(part)); err != nil {
		return fmt.Errorf("owner: administrator's credential: %w", err)
	}
	return nil
}

// foreignAdmin says what stands in the credential's way.
func (o *Owner) foreignAdmin() error {
	return fmt.Errorf("%s is there, and is not what this CA has issued; move it away", o.Admin())
}

// revoked is what the owner has revoked, for their boxes.
func (o *Owner) revoked() ([]string, error) {
	lines, err := o.authority.Revoked()
	if err != nil {
		return nil, fmt.Errorf("owner: %w", err)
	}
	return lines, nil
}

// Box is the identity of a box. The owner keeps it, so that a card can be made
// again, and newer software for it.
type Box struct {
	Name string
	Made time.Time
	*access.BoxIdentity
}

// boxRecord is a box.json.
type boxRecord struct {
	Made  time.Time `json:"made"`
	Names []string  `json:"names"`
}

// Box returns the identity of a box, the one that is there or a new one. more
// are further DNS names.
func (o *Owner) Box(name string, more []string) (*Box, error) {
	if err := access.CheckBoxName(name); err != nil {
		return nil, err
	}
	b, err := o.readBox(name)
	switch {
	case err == nil && o.authority.SameBox(b.BoxIdentity, name, more):
		return b, nil
	case errors.Is(err, fs.ErrNotExist):
		b = &Box{Name: name, Made: time.Now().UTC().Truncate(time.Second)}
	case err != nil:
		return nil, fmt.Errorf("box %s: %w", name, err)
	}
	if b.BoxIdentity, err = o.authority.IssueBox(name, more, b.BoxIdentity); err != nil {
		return nil, err
	}
	return b, o.writeBox(b)
}

func (o *Owner) boxPath(name, file string) string { return filepath.Join(o.Dir, boxesDir, name, file) }

func (o *Owner) readBox(name string) (*Box, error) {
	// The record is written last: without it, there is no box yet.
	text, err := statefile.Kept(maxRecord).Read(o.boxPath(name, boxFile))
	if err != nil {
		return nil, err
	}
	var r boxRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", boxFile, err)
	}
	b := &Box{Name: name, Made: r.Made, BoxIdentity: &access.BoxIdentity{Names: r.Names}}
	// A file that is lost is not taken for a box that was never made.
	if b.CertPEM, err = statefile.Kept(maxRecord).Read(o.boxPath(name, boxCertFile)); err != nil {
		return nil, fmt.Errorf("%v; restore it from a copy, or choose another name", err)
	}
	if b.KeyPEM, err = statefile.Secret(maxRecord).Read(o.boxPath(name, boxKeyFile)); err != nil {
		return nil, fmt.Errorf("%v; restore it from a copy, or choose another name", err)
	}
	return b, nil
}

func (o *Owner) writeBox(b *Box) error {
	if err := os.MkdirAll(o.boxPath(b.Name, ""), 0o700); err != nil {
		return fmt.Errorf("box %s: %w", b.Name, err)
	}
	record, err := json.MarshalIndent(boxRecord{b.Made, b.Names}, "", "  ")
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{{boxKeyFile, b.KeyPEM}, {boxCertFile, b.CertPEM}, {boxFile, append(record, '\n')}} {
		if err := statefile.Write(o.boxPath(b.Name, f.name), f.content, 0o600); err != nil {
			return fmt.Errorf("box %s: %w", b.Name, err)
		}
	}
	return nil
}

// newName is a name that none of the owner's boxes has.
func (o *Owner) newName() string {
	for {
		var b [2]byte
		rand.Read(b[:]) // never fails: crypto/rand ends the process where it would
		name := fmt.Sprintf("tses-%x", b)
		if _, err := os.Stat(o.boxPath(name, "")); err != nil {
			return name
		}
	}
}

// permIDs are the UUIDs of the box's /perm: others for every box, and the same
// for the same.
func (b *Box) permIDs() (uuid, seed [16]byte) {
	block, _ := pem.Decode(b.CertPEM)
	if block == nil {
		block = &pem.Block{} // cannot be: SameBox or IssueBox has read it
	}
	hash := sha256.Sum256(append([]byte("TSES /perm "), block.Bytes...))
	copy(uuid[:], hash[:16])
	copy(seed[:], hash[16:])
	for _, u := range []*[16]byte{&uuid, &seed} {
		u[6] = u[6]&0x0F | 0x80 // RFC 9562, 5.8: version 8
		u[8] = u[8]&0x3F | 0x80
	}
	return uuid, seed
}

// mayBeNew refuses a new box beside others that nobody has asked for: its card
// would be taken for that of a box that is there.
func (b *build) mayBeNew() error {
	names, err := b.result.Owner.boxes()
	if err != nil || len(names) == 0 || b.New {
		return err
	}
	return fmt.Errorf("there is %s already: make its card again with -name %s, or another box with -new", strings.Join(names, ", "), names[len(names)-1])
}

// boxes are the names of the boxes that were made, in their order.
func (o *Owner) boxes() (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(o.Dir, boxesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("owner: %w", err)
	}
	for _, e := range entries {
		if _, err := os.Stat(o.boxPath(e.Name(), boxFile)); err == nil { // without it, there is no box yet
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// identify opens the owner and the box.
func (b *build) identify(context.Context) (err error) {
	b.result.Owner, b.result.NewOwner, err = OpenOwner(b.Owner)
	if err != nil {
		return err
	}
	if b.Name == "" {
		if err := b.mayBeNew(); err != nil {
			return err
		}
		b.Name = b.result.Owner.newName()
	}
	if b.box, err = b.result.Owner.Box(b.Name, b.config.Names); err != nil {
		return err
	}
	b.result.Name = b.Name
	if b.version, err = b.makeVersion(); err != nil {
		return err
	}
	if b.Time.IsZero() {
		if b.Time, err = b.result.Owner.buildTime(b.box, b.version, time.Now()); err != nil {
			return err
		}
	}
	b.say("the box is %s", b.Name)
	return nil
}
