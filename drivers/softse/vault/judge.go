package vault

import "fmt"

// verdict is what a file and the ledger, each authentic, say together.
type verdict int

const (
	empty   verdict = iota // no state, and none is to be there
	current                // the file is the one that was acknowledged last
	ahead                  // the file is its successor: a Save was cut before the ledger
)

// judge tells a cut from a rollback. The file is nil where there is none. The
// ledger's other page, where it is not valid, is itself a witness: it is only
// written once the next file is there for good.
func judge(file *link, p position) (verdict, error) {
	switch {
	case file == nil && p.absent && !p.torn:
		return empty, nil
	case file == nil:
		return 0, fmt.Errorf("%w: the ledger remembers generation %d: put the file back, or forget this SE", ErrMissing, p.generation)
	case file.generation == p.generation+1 && file.previous == p.tag:
		return ahead, nil
	case file.generation > p.generation+1:
		return 0, fmt.Errorf("%w: it remembers generation %d and the file is %d: an older ledger was put back; accept the file if it is the right one",
			ErrLedger, p.generation, file.generation)
	case file.generation == p.generation && file.tag == p.tag && !p.absent:
		if p.torn {
			return 0, fmt.Errorf("%w: a page of it is damaged, and the file that it was written for is gone: accept the file if it is the right one", ErrLedger)
		}
		return current, nil
	}
	return 0, fmt.Errorf("%w: the file is generation %d and %d was acknowledged: put the newer file back, or accept this one",
		ErrRollback, file.generation, p.generation)
}
