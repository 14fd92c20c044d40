package vault

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-of-se/tses/internal/needs"
)

// reading is what the independent reader says.
type reading struct {
	Verdict    string
	Generation uint64
	Tag        string
	State      string // hex
	Error      string // what is wrong; the rest is empty
}

// witness is another program, written from the package's documentation, and what
// it is to read.
type witness struct {
	key  string
	args []string
}

// show gives it the files of a directory as they are now.
func (w *witness) show(t *testing.T, files snapshot, seid string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		put(t, dir, name, content)
	}
	w.args = append(w.args, dir, seid)
}

// ask returns what it says of all, in their order.
func (w *witness) ask(t *testing.T) (all []reading) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		needs.Missing(t, "node is not installed (Debian: nodejs)")
	}
	out, err := exec.CommandContext(t.Context(), node, append([]string{"testdata/reader.mjs", w.key}, w.args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var r reading
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if len(all) != len(w.args)/2 {
		t.Fatalf("%d answers to %d questions", len(all), len(w.args)/2)
	}
	return all
}

// keyInFile is a key, and the file that it is in.
func keyInFile(t *testing.T) (*SecretKey, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.key")
	key, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return key, path
}

// TestIndependentReader: what the package has written is what its documentation
// says, to a program that shares nothing with it.
func TestIndependentReader(t *testing.T) {
	key, path := keyInFile(t)
	w, dir := witness{key: path}, t.TempDir()
	var want []reading
	for _, seid := range []string{"soft1", "x", strings.Repeat("long", 16)} {
		f := mustOpen(t, dir, key, seid)
		w.show(t, take(t, dir), seid)
		want = append(want, reading{Verdict: "empty", Tag: hex.EncodeToString(f.at.tag[:])})
		for n, state := range []string{"", "one", strings.Repeat("state ", 5000)} {
			mustSave(t, f, state)
			w.show(t, take(t, dir), seid)
			want = append(want, reading{"current", uint64(n + 1), hex.EncodeToString(f.at.tag[:]), hex.EncodeToString([]byte(state)), ""})
		}
		mustClose(t, f)
	}
	for i, got := range w.ask(t) {
		if got != want[i] {
			t.Errorf("%s: %.300v, want %.300v", w.args[2*i+1], got, want[i])
		}
	}
}

// TestIndependentReaderRefuses what [Open] refuses, and takes what it takes.
func TestIndependentReaderRefuses(t *testing.T) {
	key, path := keyInFile(t)
	dir := t.TempDir()
	save := func(state string) (sealed, pages []byte) {
		f := mustOpen(t, dir, key, "soft1")
		mustSave(t, f, state)
		mustClose(t, f)
		files := take(t, dir)
		return files["soft1.state"], files["ledger"]
	}
	older, oldLedger := save("older")
	newer, newLedger := save("newer")
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[(at+len(b))%len(b)] ^= 0x10
		return b
	}
	const inauthentic = "unable to authenticate"
	tests := []struct {
		name          string
		state, ledger []byte
		want          string // a verdict, or a part of an error
	}{
		{"as it was", newer, newLedger, "current"},
		{"a cut before the ledger", newer, oldLedger, "ahead"},
		{"an older state", older, newLedger, "not the one that was acknowledged last"},
		{"version", flip(newer, 8), newLedger, "not a state of version 1"},
		{"SEID", flip(newer, 12), newLedger, "another SE"},
		{"generation", flip(newer, 81), newLedger, inauthentic},
		{"tag before", flip(newer, 90), newLedger, inauthentic},
		{"nonce", flip(newer, 100), newLedger, inauthentic},
		{"nonce, its end", flip(newer, 121), newLedger, inauthentic},
		{"ciphertext", flip(newer, 123), newLedger, inauthentic},
		{"tag", flip(newer, -1), newLedger, inauthentic},
		{"cut short", newer[:len(newer)-1], newLedger, inauthentic},
		{"header of the ledger", newer, flip(newLedger, 13), "header was changed"},
		{"the newer page of the ledger", newer, flip(newLedger, newerPage(newLedger)), "ahead"},
		{"the newer page and the older state", older, flip(newLedger, newerPage(newLedger)), "not the one"},
		{"both pages", newer, flip(flip(newLedger, pageSize), 2*pageSize), "both of the SE's pages"},
		{"no state", nil, newLedger, "missing"},
	}
	w := witness{key: path}
	for _, tt := range tests {
		files := snapshot{"soft1.state": tt.state, "ledger": tt.ledger}
		if tt.state == nil {
			delete(files, "soft1.state")
		}
		w.show(t, files, "soft1")
	}
	for i, r := range w.ask(t) {
		tt := tests[i]
		if r.Verdict != tt.want && (r.Error == "" || !strings.Contains(r.Error, tt.want)) {
			t.Errorf("%s: the reader says %.200v; want %s", tt.name, r, tt.want)
		}
		if err := openErr(t, w.args[2*i], key, "soft1"); (err == nil) != (r.Error == "") {
			t.Errorf("%s: the reader says %q, Open says %v", tt.name, r.Error, err)
		}
	}
}

// newerPage is where the page of soft1 begins that was written last.
func newerPage(ledger []byte) int {
	if bytes.Compare(ledger[pageSize:pageSize+8], ledger[2*pageSize:2*pageSize+8]) > 0 {
		return pageSize
	}
	return 2 * pageSize
}
