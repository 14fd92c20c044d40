package image

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Place tells where the content of a file of a boot partition is: its offset in
// the partition, and its size. It is for files that lie in one piece, as the
// packer's all do; others are [ErrFormat].
func Place(boot *io.SectionReader, path string) (offset, size int64, err error) {
	f, err := openFAT(boot)
	if err != nil {
		return 0, 0, fmt.Errorf("boot partition: %w", err)
	}
	var found []byte
	err = f.walk([]dirPlace{f.root}, 0, func(s slot) error {
		if found == nil && strings.EqualFold(s.name, path) && s.raw[11]&(attrDir|attrVolume) == 0 {
			found = s.raw
		}
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("boot partition: %w", err)
	}
	if found == nil {
		return 0, 0, &fs.PathError{Op: "find", Path: path, Err: fs.ErrNotExist}
	}
	places, err := f.chain(le.Uint16(found[26:]))
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	size = int64(le.Uint32(found[28:]))
	if len(places) == 0 || size > int64(len(places))*f.clusterSize {
		return 0, 0, fmt.Errorf("%s: %d bytes in %d clusters: %w", path, size, len(places), ErrFormat)
	}
	for i, p := range places {
		if p.offset != places[0].offset+int64(i)*f.clusterSize {
			return 0, 0, fmt.Errorf("%s: in several pieces: %w", path, ErrFormat)
		}
	}
	return places[0].offset, size, nil
}
