package vault

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cloud-of-se/tses/drivers/softse/internal/disk"
)

// maxSEs is the number of SEIDs that a ledger remembers, forgotten ones
// included: forgetting one must not let its old files pass.
const maxSEs = 1024

// The ledger file: the header in whole pages, then two pages for each SE in
// the order of the header. Every page has the size and place of a page of the
// memory and of a disk's sector group, so that a torn write harms no other.
// Numbers are big endian.
//
// The header: magic 8, pages 2, names 2, then for each name its length 1 and
// the name, zeros, and the MAC in the last 32 bytes. A page of an SE:
// generation 8, tag 16, absent 1, zeros, and the MAC over page and SEID.
const (
	ledgerMagic    = "TSES-LG\x01"
	pageSize       = 4096
	macSize        = sha256.Size
	maxHeaderPages = (12 + maxSEs*(1+maxName) + macSize + pageSize - 1) / pageSize
	maxLedger      = (maxHeaderPages + 2*maxSEs) * pageSize
)

// mark is what the ledger remembers of an SE: the last state acknowledged.
type mark struct {
	generation uint64
	tag        tag
	absent     bool // no state is to be there: not yet, or forgotten
}

// position is what both pages of an SE say together.
type position struct {
	mark
	page int  // the one of the two that holds it
	torn bool // the other is not valid: a record was being written
	twin bool // the other says the same: nothing was recorded since it was listed
}

// ledger reads and writes the ledger file. Whoever uses it holds its lock,
// shared for a record of its own SE and exclusive to list one.
type ledger struct {
	disk disk.Disk
	key  []byte
}

func newLedger(d disk.Disk, key Key) (*ledger, error) {
	k, err := derive(key, "softse ledger", "")
	return &ledger{disk: d, key: k}, err
}

func (l *ledger) wipe() { clear(l.key) }

// mac is over a name and a page; the name is empty for the header, as no SE's is.
func (l *ledger) mac(seid string, body []byte) []byte {
	m := hmac.New(sha256.New, l.key)
	m.Write([]byte(seid)) // a hash never fails
	m.Write([]byte{0})
	m.Write(body)
	return m.Sum(nil)
}

func (l *ledger) authentic(seid string, page []byte) bool {
	body, sum := page[:len(page)-macSize], page[len(page)-macSize:]
	return hmac.Equal(sum, l.mac(seid, body))
}

func (l *ledger) encodeHeader(names []string) []byte {
	size := 12 + macSize
	for _, n := range names {
		size += 1 + len(n)
	}
	pages := (size + pageSize - 1) / pageSize
	b := make([]byte, 0, pages*pageSize)
	b = append(b, ledgerMagic...)
	b = binary.BigEndian.AppendUint16(b, uint16(pages))
	b = binary.BigEndian.AppendUint16(b, uint16(len(names)))
	for _, n := range names {
		b = append(append(b, byte(len(n))), n...)
	}
	b = b[:cap(b)-macSize]
	return append(b, l.mac("", b)...)
}

// readHeader returns the SEIDs of the ledger and the offset of the first page
// after the header.
func (l *ledger) readHeader(f disk.File) (names []string, at int64, err error) {
	size, _, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if size < pageSize || size > maxLedger {
		return nil, 0, ledgerError("%d bytes", size)
	}
	header := make([]byte, pageSize)
	if err := readFull(f, header, 0); err != nil {
		return nil, 0, err
	}
	pages := int64(binary.BigEndian.Uint16(header[8:]))
	count := int64(binary.BigEndian.Uint16(header[10:]))
	if !bytes.HasPrefix(header, []byte(ledgerMagic)) || pages < 1 || pages > maxHeaderPages ||
		size != (pages+2*count)*pageSize {
		return nil, 0, ledgerError("its header is not one")
	}
	if pages > 1 {
		header = make([]byte, pages*pageSize)
		if err := readFull(f, header, 0); err != nil {
			return nil, 0, err
		}
	}
	if !l.authentic("", header) {
		return nil, 0, ledgerError("it was changed, or made with another key")
	}
	names, ok := splitNames(header[12:len(header)-macSize], int(count))
	if !ok {
		return nil, 0, ledgerError("its list of SEs is malformed")
	}
	return names, pages * pageSize, nil
}

func splitNames(b []byte, count int) (names []string, ok bool) {
	for range count {
		if len(b) == 0 || len(b) <= int(b[0]) {
			return nil, false
		}
		name := string(b[1 : 1+b[0]])
		if checkName(name) != nil {
			return nil, false
		}
		names, b = append(names, name), b[1+len(name):]
	}
	return names, true
}

func ledgerError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLedger, fmt.Sprintf(format, args...))
}

func (l *ledger) encodePage(seid string, m mark) []byte {
	b := make([]byte, 0, pageSize)
	b = binary.BigEndian.AppendUint64(b, m.generation)
	b = append(b, m.tag[:]...)
	if m.absent {
		b = append(b, 1)
	}
	b = b[:pageSize-macSize]
	return append(b, l.mac(seid, b)...)
}

func (l *ledger) decodePage(seid string, page []byte) (m mark, ok bool) {
	return mark{
		generation: binary.BigEndian.Uint64(page),
		tag:        tag(page[8:]),
		absent:     page[8+tagSize] == 1,
	}, l.authentic(seid, page)
}

// find returns what the ledger knows of an SE; listed is false where it knows
// nothing. Where there is no ledger the error matches fs.ErrNotExist.
func (l *ledger) find(seid string) (p position, listed bool, err error) {
	f, err := open(l.disk, ledgerName, false, ErrLedger)
	if err != nil {
		return position{}, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	names, at, err := l.readHeader(f)
	if err != nil {
		return position{}, false, err
	}
	i := slices.Index(names, seid)
	if i < 0 {
		return position{}, false, nil
	}
	pages := make([]byte, 2*pageSize)
	if err := readFull(f, pages, at+int64(i)*2*pageSize); err != nil {
		return position{}, false, err
	}
	p, err = l.weigh(seid, pages)
	return p, true, err
}

// weigh makes one position of an SE's two pages.
func (l *ledger) weigh(seid string, pages []byte) (position, error) {
	a, aOK := l.decodePage(seid, pages[:pageSize])
	b, bOK := l.decodePage(seid, pages[pageSize:])
	switch {
	case aOK && bOK && a == b:
		return position{mark: a, page: 0, twin: true}, nil
	case aOK && bOK && a.generation == b.generation+1:
		return position{mark: a, page: 0}, nil
	case aOK && bOK && b.generation == a.generation+1:
		return position{mark: b, page: 1}, nil
	case aOK && !bOK:
		return position{mark: a, page: 0, torn: true}, nil
	case bOK && !aOK:
		return position{mark: b, page: 1, torn: true}, nil
	}
	return position{}, ledgerError("both pages of %q are damaged, or do not belong together", seid)
}

// record writes an SE's mark over one of its two pages and returns when it
// will survive a power cut.
func (l *ledger) record(seid string, page int, m mark) (err error) {
	f, err := open(l.disk, ledgerName, true, ErrLedger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	names, at, err := l.readHeader(f)
	if err != nil {
		return err
	}
	i := slices.Index(names, seid)
	if i < 0 {
		return ledgerError("it no longer knows %q", seid)
	}
	if err := writeAll(f, l.encodePage(seid, m), at+int64(2*i+page)*pageSize); err != nil {
		return err
	}
	return f.Sync()
}

// list makes the ledger know an SE at a mark; what it knows of others stays.
// Where the ledger is lost, and if anew is set, it makes one of this SE alone.
// The caller holds the exclusive lock.
func (l *ledger) list(seid string, m mark, anew bool) error {
	names, pages, err := l.readWhole()
	if err != nil {
		if !anew || !lost(err) {
			return err
		}
		names, pages = nil, nil
	}
	entry := slices.Repeat(l.encodePage(seid, m), 2)
	if i := slices.Index(names, seid); i >= 0 {
		copy(pages[2*i*pageSize:], entry)
	} else if len(names) == maxSEs {
		return fmt.Errorf("the ledger is full with %d SEs: use another state directory", maxSEs)
	} else {
		names, pages = append(names, seid), append(pages, entry...)
	}
	if err := replace(l.disk, ledgerName, append(l.encodeHeader(names), pages...)); err != nil {
		return err
	}
	return l.disk.SyncDir()
}

// lost tells a ledger that is gone or damaged from one that could not be read.
func lost(err error) bool {
	return errors.Is(err, ErrLedger) || errors.Is(err, fs.ErrNotExist)
}

func (l *ledger) readWhole() (names []string, pages []byte, err error) {
	f, err := open(l.disk, ledgerName, false, ErrLedger)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	names, at, err := l.readHeader(f)
	if err != nil {
		return nil, nil, err
	}
	pages = make([]byte, len(names)*2*pageSize)
	return names, pages, readFull(f, pages, at)
}
