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
	toolsDir     = "gokrazy/tools"
	packerModule = "github.com/gokrazy/tools"
	packerPkg    = packerModule + "/cmd/gok"
	instance     = "tses" // in the packer's words: what a card is made from
	tailOnError  = 60     // lines of the packer's that are shown when it fails
)

func (b *build) compilePacker(ctx context.Context) error {
	b.packer = filepath.Join(b.work, "gok")
	if runtime.GOOS == "windows" {
		b.packer += ".exe"
	}
	tools := filepath.Join(b.Repository, toolsDir)
	out, err := exec.CommandContext(ctx, "go", "list", "-C", tools, "-f", "{{.Module.Dir}}", packerPkg).Output()
	if err != nil {
		return fmt.Errorf("find the packer's sources: %w", err)
	}
	mod, err := b.packerSources(strings.TrimSpace(string(out)), tools)
	if err != nil {
		return err
	}
	return b.run(exec.CommandContext(ctx, "go", "build", "-C", tools, "-modfile", mod, "-trimpath", "-o", b.packer, packerPkg))
}

// The packer puts the time zone and the public CAs of the machine that makes a
// card into its root file system, so that two people with the same sources would
// not have the same card. A box has no use for either: its time is UTC, and it
// trusts its owner's CA alone. withoutHost takes the place of the packer's files
// that look for them.
var withoutHost = map[string]string{
	"internal/packer/localtime.go": `package packer

func hostLocaltime(string) (string, error) { return "", nil }
`,
	"internal/packer/cacerts.go": `package packer

func (pack *Pack) findSystemCertsPEM() (string, error) {
	return "# None: this box trusts its owner's CA alone.\n", nil
}
`,
}

// packerSources copies the packer with withoutHost, and returns a go.mod that is
// the one of tools but for the copy. The compiler takes no overlay for what is in
// the module cache.
func (b *build) packerSources(from, tools string) (mod string, err error) {
	to := filepath.Join(b.work, "packer")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return "", fmt.Errorf("copy the packer: %w", err)
	}
	for name, text := range withoutHost {
		file := filepath.Join(to, filepath.FromSlash(name))
		if _, err := os.Stat(file); err != nil {
			return "", fmt.Errorf("the packer is not the one that this builder knows: %w", err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	mod = filepath.Join(b.work, "packer.mod")
	for name, file := range map[string]string{"go.mod": mod, "go.sum": filepath.Join(b.work, "packer.sum")} {
		text, err := os.ReadFile(filepath.Join(tools, name))
		if err != nil {
			return "", err
		}
		if name == "go.mod" {
			text = fmt.Appendf(text, "\nreplace %s => %s\n", packerModule, strconv.Quote(to))
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return "", err
		}
	}
	return mod, nil
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
