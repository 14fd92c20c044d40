//go:build linux

package trial

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/cloud-of-se/tses/gokrazy/sdcard"
	"github.com/cloud-of-se/tses/gokrazy/slots"
	"github.com/cloud-of-se/tses/internal/statefile"
	"github.com/cloud-of-se/tses/update"
)

// own is what the root file system that runs says of itself. Updates are judged by
// it, and by nothing that the TSES says or writes: it may write the other slot, and
// nobody but the packer has ever written here.
type own struct {
	owner *ecdsa.PublicKey
	runs  update.Running // without a clock: none is set when init begins
}

// The files beside the owner's certificate.
const (
	nameFile  = "name"  // the box's DNS names, its own first
	buildFile = "build" // see [sdcard.Build]
)

func readOwn(ownerFile string) (o own, err error) {
	if o.owner, err = readOwner(ownerFile); err != nil {
		return o, err
	}
	dir := filepath.Dir(ownerFile)
	if o.runs.Box, err = readName(filepath.Join(dir, nameFile)); err != nil {
		return o, err
	}
	build, err := sdcard.ReadBuild(filepath.Join(dir, buildFile))
	o.runs.Version, o.runs.Built = build.Version, build.Time.Unix()
	return o, err
}

// judge returns the header in a record of what may run here.
func (o own) judge(r *slots.Record) (*update.Header, error) {
	h, err := r.Header(o.owner)
	if err != nil {
		return nil, err
	}
	return h, h.CheckFor(o.runs)
}

// maxIdentity bounds a file of what the card says of the box, in bytes.
const maxIdentity = 1 << 20

func readOwner(path string) (*ecdsa.PublicKey, error) {
	text, err := statefile.Kept(maxIdentity).Read(path)
	if err != nil {
		return nil, fmt.Errorf("the owner's certificate: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("the owner's certificate: no PEM in %s", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the owner's certificate: %w", err)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the owner's certificate: a key of type %T", cert.PublicKey)
	}
	return key, nil
}

func readName(path string) (string, error) {
	text, err := statefile.Kept(maxIdentity).Read(path)
	if err != nil {
		return "", fmt.Errorf("the box's name: %w", err)
	}
	names := strings.Fields(string(text))
	if len(names) == 0 {
		return "", fmt.Errorf("the box's name: none in %s; make the SD card again", path)
	}
	return names[0], nil
}
