//go:build unix

package racs_test

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/internal/statefile/statefiletest"
	"github.com/cloud-of-se/tses/stp/racs"
)

// A credential and a CA are files, or links to some: nothing else is read, or
// waited for.
func TestLoadKinds(t *testing.T) {
	credential := newAuthority(t, "CA").issue("user", nil)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: credential.Certificate[0]})) + keyPEM(t, credential.PrivateKey)
	file := filepath.Join(t.TempDir(), "user.pem")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const takes = "symbolic link, another's, readable, hard link"
	for _, kind := range statefiletest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			defer kind.Put(t, file)()
			done := make(chan error, 2)
			go func() { _, err := racs.LoadCredential(file); done <- err }()
			go func() { _, err := racs.LoadCA(file); done <- err }()
			for range 2 {
				select {
				case err := <-done:
					switch {
					case strings.Contains(takes, kind.Name):
						if err != nil {
							t.Error(err)
						}
					case kind.Name == "dangling link":
						if !errors.Is(err, os.ErrNotExist) {
							t.Errorf("got %v, want os.ErrNotExist", err)
						}
					case !errors.Is(err, racs.ErrCredential) || !errors.Is(err, kind.Err) || !strings.Contains(err.Error(), file):
						t.Errorf("got %v, want ErrCredential and %v", err, kind.Err)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("it waits")
				}
			}
		})
	}
}
