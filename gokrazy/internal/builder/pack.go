package builder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// toolsDir is the module that pins gokrazy's packer. It is one of its own: the
// programs need nothing of what the packer needs.
const (
	toolsDir    = "gokrazy/tools"
	packerPkg   = "github.com/gokrazy/tools/cmd/gok"
	instance    = "tses" // in the packer's words: what a card is made from
	tailOnError = 60     // lines of the packer's that are shown when it fails
)

func (b *build) compilePacker(ctx context.Context) error {
	b.packer = filepath.Join(b.work, "gok")
	if runtime.GOOS == "windows" {
		b.packer += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(b.Repository, toolsDir), "-o", b.packer, packerPkg)
	return b.run(cmd)
}

// run runs a program and keeps what it says for the case that it fails.
func (b *build) run(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stdout = &said
	if b.Verbose != nil {
		cmd.Stdout = io.MultiWriter(&said, b.Verbose)
	}
	cmd.Stderr = cmd.Stdout
	cmd.WaitDelay = grace
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		lines = lines[max(0, len(lines)-tailOnError):]
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, strings.Join(lines, "\n"))
	}
	return nil
}

// pack lets the packer compile what goes on the card and write all but /perm.
func (b *build) pack(ctx context.Context) error {
	if err := b.writeInstance(); err != nil {
		return err
	}
	output, err := filepath.Abs(b.part)
	if err != nil {
		return err
	}
	// The parent directory is relative, since its name gets on the card.
	cmd := exec.CommandContext(ctx, b.packer, "--parent_dir", ".", "-i", instance, "overwrite",
		"--full="+output, "--target_storage_bytes="+strconv.FormatInt(Size, 10))
	cmd.Dir = b.work
	if cmd.Env, err = b.environment(ctx); err != nil {
		return err
	}
	return b.run(cmd)
}

// environment keeps the packer from what else is on this machine: settings in
// the home directory, and variables that change what the compiler makes. Its
// temporary files, among them the key, are in a directory that is removed.
func (b *build) environment(ctx context.Context) ([]string, error) {
	keep := []string{"GOCACHE", "GOENV", "GOMODCACHE", "GOPATH"}
	out, err := exec.CommandContext(ctx, "go", append([]string{"env", "-json"}, keep...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	known := make(map[string]string)
	if err := json.Unmarshal(out, &known); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	temp := filepath.Join(b.work, "tmp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		return nil, err
	}
	env := append(os.Environ(), "HOME="+temp, "TMPDIR="+temp, "TMP="+temp, "TEMP="+temp, "GOWORK=off", "GOEXPERIMENT=")
	for _, name := range keep {
		env = append(env, name+"="+known[name])
	}
	return env, nil
}

// sum reads the whole image again: that it can be read is worth knowing too.
func (b *build) sum(context.Context) error {
	f, err := os.Open(b.part)
	if err != nil {
		return err
	}
	defer f.Close() // read only: closing it loses nothing
	hash := sha256.New()
	// In large pieces: most of it are holes, which are read as fast as asked.
	n, err := io.CopyBuffer(hash, struct{ io.Reader }{f}, make([]byte, 1<<20))
	if err != nil {
		return err
	}
	if n != Size {
		return errors.New("the image has another size than it was made with")
	}
	b.result.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return nil
}
