package slots

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/update"
)

// State is how far an update has come.
type State string

const (
	// Armed: written, and to be tried at the next start.
	Armed State = "armed"
	// Tried: it was given its one start. If its slot is selected it was well.
	Tried State = "tried"
)

// Record is what the end of a slot tells of the update in it.
type Record struct {
	State State  `json:"state"`
	Head  []byte `json:"head"` // of the bundle, with the owner's signature
}

// ErrNoRecord says that a slot has no record that is whole.
var ErrNoRecord = errors.New("no record of an update")

const recordMagic = "TSES slot record"

// A record's bytes: magic, length (4, big-endian), SHA-256 of the JSON, the
// JSON. One that was torn by a power cut does not have its digest, and is none.
const recordHead = len(recordMagic) + 4 + sha256.Size

// ReadRecord reads a slot's record, or fails with [ErrNoRecord].
func ReadRecord(p *Partition) (*Record, error) {
	b := make([]byte, update.Tail)
	if _, err := p.ReadAt(b, p.room()); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return parseRecord(b)
}

func parseRecord(b []byte) (*Record, error) {
	if len(b) < recordHead || string(b[:len(recordMagic)]) != recordMagic {
		return nil, ErrNoRecord
	}
	n := binary.BigEndian.Uint32(b[len(recordMagic):])
	if int64(n) > int64(len(b)-recordHead) {
		return nil, ErrNoRecord
	}
	text := b[recordHead:][:n]
	if digest := sha256.Sum256(text); !bytes.Equal(digest[:], b[recordHead-sha256.Size:recordHead]) {
		return nil, ErrNoRecord
	}
	r := new(Record)
	if err := json.Unmarshal(text, r); err != nil || r.State != Armed && r.State != Tried {
		return nil, ErrNoRecord
	}
	return r, nil
}

// write puts a record, or with nil none, on the medium.
func (r *Record) write(p *Partition) error {
	b := make([]byte, update.Tail)
	if r != nil {
		text, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("record: %w", err)
		}
		if len(text) > len(b)-recordHead {
			return fmt.Errorf("record: %d bytes, there is room for %d", len(text), len(b)-recordHead)
		}
		digest := sha256.Sum256(text)
		head := binary.BigEndian.AppendUint32([]byte(recordMagic), uint32(len(text)))
		copy(b, append(append(head, digest[:]...), text...))
	}
	if _, err := p.WriteAt(b, p.room()); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if err := p.Sync(); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// stands tells whether a record that was written is what the medium holds.
func (r *Record) stands(p *Partition) error {
	if err := forget(p.Medium); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	got, err := ReadRecord(p)
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return err
	}
	if err != nil || got.State != r.State || !bytes.Equal(got.Head, r.Head) {
		return fmt.Errorf("record: %w: the card takes no writes any more; make a new one", ErrReadBack)
	}
	return nil
}
