package pcsc

import (
	"slices"

	"github.com/cloud-of-se/tses/drivers"
)

// settle says which reader each SE is in, after a look, and tells the
// inventory of the others. down is why nothing was seen.
func (h *Host) settle(seen []reader, down error) {
	h.mu.Lock()
	back := h.down != nil && down == nil
	h.seen, h.down = seen, down
	free := h.placeElements(seen)
	gone, come := h.compare(free)
	h.mu.Unlock()
	if back {
		h.opts.Log.Info("readers", "count", len(seen))
	}
	for _, seid := range gone {
		h.opts.Log.Info("card out", "seid", seid)
		if err := h.opts.Found.Remove(seid); err != nil {
			h.opts.Log.Warn("card out", "seid", seid, "err", err)
		}
	}
	for _, c := range come {
		h.opts.Log.Info("card in", "seid", c.seid, "reader", c.reader)
		if err := h.opts.Found.Add(c.seid, h.foundCard(c.reader)); err != nil {
			h.opts.Log.Error("a card is not served", "seid", c.seid, "reader", c.reader, "err", err)
			h.mu.Lock()
			delete(h.found, c.seid) // the next look tries again
			h.mu.Unlock()
		}
	}
}

// placeElements keeps each element where it still fits, finds a reader for the
// others, and returns the readers that are left.
func (h *Host) placeElements(seen []reader) (free []reader) {
	used := make(map[string]bool)
	for _, e := range h.elements {
		at := slices.IndexFunc(seen, func(r reader) bool { return r.name == e.reader })
		if at < 0 || !e.match.Fits(e.reader, seen[at].atr) {
			e.reader = ""
		}
		used[e.reader] = true
	}
	for _, e := range h.elements {
		for _, r := range seen {
			if e.reader == "" && !used[r.name] && e.match.Fits(r.name, r.atr) {
				e.reader = r.name
				used[r.name] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(seen), func(r reader) bool { return used[r.name] })
}

type coming struct{ seid, reader string }

// compare tells which found SEs go and which come, and notes them.
func (h *Host) compare(free []reader) (gone []string, come []coming) {
	if h.opts.Found == nil {
		return nil, nil
	}
	wanted := make(map[string]string)
	for _, r := range free {
		if !r.card || len(r.atr) == 0 {
			continue
		}
		seid := SEID(r.name, r.atr)
		// Who has a SEID keeps it.
		if at, taken := wanted[seid]; !taken || h.found[seid] == r.name && at != r.name {
			wanted[seid] = r.name
		}
	}
	h.tellDoubles(free, wanted)
	for seid, reader := range h.found {
		if wanted[seid] != reader {
			gone = append(gone, seid)
			delete(h.found, seid)
		}
	}
	for seid, reader := range wanted {
		if h.found[seid] != reader {
			come = append(come, coming{seid, reader})
			h.found[seid] = reader
		}
	}
	slices.Sort(gone)
	slices.SortFunc(come, func(a, b coming) int { return slices.Compare([]byte(a.seid), []byte(b.seid)) })
	return gone, come
}

// tellDoubles says once of a reader that it cannot be told from another.
func (h *Host) tellDoubles(free []reader, wanted map[string]string) {
	for _, r := range free {
		seid := SEID(r.name, r.atr)
		holder, taken := wanted[seid]
		if !taken || holder == r.name || h.doubles[r.name] {
			continue
		}
		if len(h.doubles) < maxStates { // the names are pcscd's; the note is bounded
			h.doubles[r.name] = true
		}
		h.opts.Log.Error("a card is not served: its reader and itself are of the same kind as others and have no serial number; name both by their readers in the configuration",
			"seid", seid, "reader", r.name, "other", holder)
	}
}

func (h *Host) foundCard(reader string) drivers.SE {
	return &Card{host: h, name: reader, where: func() (string, error) { return reader, nil }}
}
