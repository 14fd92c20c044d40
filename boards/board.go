package boards

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
)

// Board is the machine that wirings are for: a Raspberry Pi, or another one
// that has device files only.
type Board struct {
	model *Model // nil: no Raspberry Pi that is known
	title string
	root  fs.FS // the root of its files; nil where it is not the machine that this runs on

	mu       sync.Mutex
	decoders map[string]*decoder // those that are open, by their names
}

// Detect finds out from the device tree which machine this is. root is the
// root of its files: os.DirFS("/"). A machine without a device tree, or with
// an unknown one, is a board without buses.
func Detect(root fs.FS) (*Board, error) {
	text, err := fs.ReadFile(root, deviceTree+"compatible")
	if errors.Is(err, fs.ErrNotExist) {
		return &Board{title: "this machine", root: root}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("board: device tree: %w", err)
	}
	title := "this machine"
	if model, err := fs.ReadFile(root, deviceTree+"model"); err == nil { // without it only messages are poorer
		title = string(bytes.TrimRight(model, "\x00"))
	}
	for word := range strings.SplitSeq(string(text), "\x00") {
		for i := range models {
			if models[i].Compatible == word {
				return &Board{model: &models[i], title: title, root: root}, nil
			}
		}
	}
	return &Board{title: title, root: root}, nil
}

// deviceTree is where the kernel shows the device tree that it runs with.
const deviceTree = "proc/device-tree/"

// ByName is the board of a model by its short name, such as "4b", for what is
// to be built for it elsewhere: nothing of the machine that this runs on
// counts.
func ByName(name string) (*Board, error) {
	names := make([]string, len(models))
	for i := range models {
		if models[i].Name == name {
			return &Board{model: &models[i], title: models[i].Title}, nil
		}
		names[i] = models[i].Name
	}
	return nil, fmt.Errorf("board %.32q is not known; there is %s", name, strings.Join(names, ", "))
}

// Model is which Raspberry Pi it is; false where it is none that is known.
func (b *Board) Model() (Model, bool) {
	if b.model == nil {
		return Model{}, false
	}
	return *b.model, true
}

// String is what the machine calls itself: "Raspberry Pi 4 Model B Rev 1.4".
func (b *Board) String() string { return b.title }
