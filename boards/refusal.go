package boards

import (
	"errors"
	"fmt"
	"strings"
)

// Refusal says why a wiring cannot work on a board, and what would cure it.
type Refusal struct {
	Name string // the wiring's
	Why  string
	Cure string // what to do in words

	// Lines are for config.txt, where they are what cures it.
	Lines []string
}

// Error is all of it in one line.
func (r *Refusal) Error() string {
	text := fmt.Sprintf("element %q: %s", r.Name, r.Why)
	if r.Cure != "" {
		text += "; " + r.Cure
	}
	if len(r.Lines) > 0 {
		text += "; config.txt: " + strings.Join(r.Lines, ", ")
	}
	return text
}

func refuse(w *Wiring, why, cure string, lines ...string) *Refusal {
	return &Refusal{Name: w.Name, Why: why, Cure: cure, Lines: lines}
}

func joinRefusals(refused []*Refusal) error {
	errs := make([]error, len(refused))
	for i, r := range refused {
		errs[i] = r
	}
	return errors.Join(errs...)
}
