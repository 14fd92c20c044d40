package image

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
	"unicode/utf16"
)

// fat is a FAT16 file system (Microsoft's FAT: General Overview of On-Disk
// Format, 1.03).
type fat struct {
	r           io.ReaderAt
	table       []byte // the first FAT
	root        dirPlace
	data        int64 // where cluster 2 is
	clusterSize int64
	seen        int // entries, in a walk
}

// dirPlace is a piece of a directory.
type dirPlace struct{ offset, size int64 }

const (
	slotSize     = 32
	attrLongName = 0x0F
	attrVolume   = 0x08
	attrDir      = 0x10

	// What bounds a walk through directories that contain each other.
	maxDepth   = 8
	maxEntries = 1 << 14
)

func openFAT(r *io.SectionReader) (*fat, error) {
	var b [sectorSize]byte
	if _, err := r.ReadAt(b[:], 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	sector, perCluster := int64(le.Uint16(b[11:])), int64(b[13])
	reserved, copies := int64(le.Uint16(b[14:])), int64(b[16])
	rootSlots, fatSectors := int64(le.Uint16(b[17:])), int64(le.Uint16(b[22:]))
	if sector != sectorSize || perCluster == 0 || copies == 0 || rootSlots == 0 || fatSectors == 0 {
		return nil, fmt.Errorf("no FAT16: %w", ErrFormat)
	}
	f := &fat{r: r, clusterSize: perCluster * sector, table: make([]byte, fatSectors*sector)}
	f.root = dirPlace{(reserved + copies*fatSectors) * sector, rootSlots * slotSize}
	f.data = f.root.offset + f.root.size
	if _, err := r.ReadAt(f.table, reserved*sector); err != nil {
		return nil, fmt.Errorf("FAT: %w: %w", ErrFormat, err)
	}
	return f, nil
}

// chain lists the clusters of a file.
func (f *fat) chain(cluster uint16) ([]dirPlace, error) {
	var places []dirPlace
	for cluster >= 2 && cluster < 0xFFF8 {
		if int(cluster)*2+2 > len(f.table) || len(places) > len(f.table)/2 {
			return nil, fmt.Errorf("cluster %d: %w", cluster, ErrFormat)
		}
		places = append(places, dirPlace{f.data + int64(cluster-2)*f.clusterSize, f.clusterSize})
		cluster = le.Uint16(f.table[int(cluster)*2:])
	}
	return places, nil
}

// slot is a directory's entry for a file or a directory.
type slot struct {
	name   string
	offset int64 // of the entry
	raw    []byte
}

// walk calls do for every entry of a directory and those below it.
func (f *fat) walk(places []dirPlace, depth int, do func(slot) error) error {
	if depth > maxDepth {
		return fmt.Errorf("directories %d deep: %w", depth, ErrFormat)
	}
	var long []uint16
	for _, p := range places {
		b := make([]byte, p.size)
		if _, err := f.r.ReadAt(b, p.offset); err != nil {
			return fmt.Errorf("directory: %w: %w", ErrFormat, err)
		}
		for at := 0; at+slotSize <= len(b); at += slotSize {
			raw := b[at:][:slotSize]
			switch {
			case raw[0] == 0: // and none behind it
				return nil
			case raw[0] == 0xE5: // free
				long = nil
				continue
			case raw[11] == attrLongName:
				long = append(longPart(raw), long...)
				continue
			}
			s := slot{shortName(raw), p.offset + int64(at), raw}
			if long != nil {
				s.name, long = string(utf16.Decode(long)), nil
			}
			if err := f.visit(s, depth, do); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fat) visit(s slot, depth int, do func(slot) error) error {
	if f.seen++; f.seen > maxEntries {
		return fmt.Errorf("more than %d files: %w", maxEntries, ErrFormat)
	}
	if err := do(s); err != nil {
		return err
	}
	if s.raw[11]&attrDir == 0 || s.raw[0] == '.' {
		return nil
	}
	below, err := f.chain(le.Uint16(s.raw[26:]))
	if err != nil {
		return err
	}
	return f.walk(below, depth+1, func(b slot) error {
		b.name = s.name + "/" + b.name
		return do(b)
	})
}

func shortName(raw []byte) string {
	name := strings.TrimRight(string(raw[:8]), " ")
	if ext := strings.TrimRight(string(raw[8:11]), " "); ext != "" {
		name += "." + ext
	}
	return strings.ToLower(name)
}

// longPart are the up to 13 characters of a name that an entry has.
func longPart(raw []byte) []uint16 {
	var part []uint16
	for _, span := range [][2]int{{1, 11}, {14, 26}, {28, 32}} {
		for at := span[0]; at < span[1]; at += 2 {
			c := le.Uint16(raw[at:])
			if c == 0 || c == 0xFFFF {
				return part
			}
			part = append(part, c)
		}
	}
	return part
}

// readFile reads a file by its path, without regard to case.
func (f *fat) readFile(path string) (content []byte, err error) {
	var found *slot
	f.seen = 0
	err = f.walk([]dirPlace{f.root}, 0, func(s slot) error {
		if found == nil && strings.EqualFold(s.name, path) && s.raw[11]&(attrDir|attrVolume) == 0 {
			found = &s
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	places, err := f.chain(le.Uint16(found.raw[26:]))
	if err != nil {
		return nil, err
	}
	size := int64(le.Uint32(found.raw[28:]))
	if size > int64(len(places))*f.clusterSize {
		return nil, fmt.Errorf("%s: %d bytes in %d clusters: %w", path, size, len(places), ErrFormat)
	}
	content = make([]byte, int64(len(places))*f.clusterSize)
	for i, p := range places {
		if _, err := f.r.ReadAt(content[int64(i)*f.clusterSize:][:p.size], p.offset); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", path, ErrFormat, err)
		}
	}
	return content[:size], nil
}

// setTimes sets the times of all entries.
func (f *fat) setTimes(w io.WriterAt, t time.Time) error {
	t = t.UTC()
	date := uint16(t.Year()-1980)<<9 | uint16(t.Month())<<5 | uint16(t.Day())
	clock := uint16(t.Hour())<<11 | uint16(t.Minute())<<5 | uint16(t.Second()/2)
	f.seen = 0
	return f.walk([]dirPlace{f.root}, 0, func(s slot) error {
		raw := append([]byte(nil), s.raw...)
		raw[13] = 0 // tenths of a second, of creation
		for _, at := range []int{14, 22} {
			le.PutUint16(raw[at:], clock)
		}
		for _, at := range []int{16, 18, 24} { // 18: access has no time of day
			le.PutUint16(raw[at:], date)
		}
		_, err := w.WriteAt(raw, s.offset)
		return err
	})
}
