package racs

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// The bounds of a list of SEIDs when it is expanded: a few bytes can stand for
// very many names.
const (
	MaxListed      = 65536     // SEIDs
	MaxListedBytes = MaxAnswer // bytes of them
)

// ExpandList is the SEIDs of a result of LIST, in their order. Some servers write
// many of them as one (draft-urien-core-racs, 2.3.6): Device[1000-2000] stands for
// Device1000 to Device2000, Serial[567;789] for Serial567 and Serial789. Brackets
// hold numbers and ranges, separated by semicolons; more may follow behind them.
// A number that begins with 0 gives its range as many digits as it has. A word of
// another form is a SEID as it stands. A list that goes over [MaxListed] or
// [MaxListedBytes] matches [ErrNotRACS].
func ExpandList(text string) ([]string, error) {
	seids, size := []string{}, 0
	for word := range strings.FieldsSeq(text) {
		for seid := range expand(word) {
			if size += len(seid); len(seids) == MaxListed || size > MaxListedBytes {
				return nil, fmt.Errorf("a list of more than %d SEIDs or %d bytes, at %s: %w", MaxListed, MaxListedBytes, excerpt([]byte(word)), ErrNotRACS)
			}
			seids = append(seids, seid)
		}
	}
	return seids, nil
}

// expand is the SEIDs that one word stands for.
func expand(word string) iter.Seq[string] {
	return func(yield func(string) bool) {
		before, rest, opened := strings.Cut(word, "[")
		inside, behind, closed := strings.Cut(rest, "]")
		if !opened || !closed || before == "" || strings.ContainsAny(behind, "[]") {
			yield(word)
			return
		}
		items := strings.Split(inside, ";")
		for _, item := range items {
			if _, ok := rangeOf(item); !ok {
				yield(word)
				return
			}
		}
		for _, item := range items {
			r, _ := rangeOf(item)
			for n := r.first; ; n++ {
				if !yield(fmt.Sprintf("%s%0*d%s", before, r.width, n, behind)) {
					return
				}
				if n == r.last { // not n <= last, which the largest number always is
					break
				}
			}
		}
	}
}

// numbers is a range with both of its ends.
type numbers struct {
	first, last uint64
	width       int // of its numbers, which zeros fill up; 0 is as they come
}

// rangeOf reads "567" or "1000-2000".
func rangeOf(item string) (r numbers, ok bool) {
	first, last, isRange := strings.Cut(item, "-")
	if !isRange {
		last = first
	}
	if r.first, ok = number(first); !ok {
		return r, false
	}
	if r.last, ok = number(last); !ok || r.last < r.first {
		return r, false
	}
	if first[0] == '0' {
		r.width = len(first)
	}
	return r, true
}

// number reads digits alone.
func number(s string) (uint64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}
