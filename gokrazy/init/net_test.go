//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

func TestWithoutFastOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tcp_fastopen")
	if err := withoutFastOpen(path); err == nil {
		t.Error("a kernel that does not have it is no error")
	}
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := withoutFastOpen(path); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); string(text) != "0\n" {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := os.Stat(fastOpen); err != nil {
		t.Errorf("this kernel has it elsewhere: %v", err)
	}
}

// The old name is taken back before the new one is said.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		end := background(t.Context(), func(ctx context.Context) {
			<-ctx.Done()
			ended = true
		})
		synctest.Wait()
		if ended {
			t.Error("it has ended by itself")
		}
		if end(); !ended {
			t.Error("its end is not waited for")
		}
	})
}
