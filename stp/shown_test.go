package stp_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
	"github.com/cloud-of-se/tses/grid"
	"github.com/cloud-of-se/tses/stp"
)

// telling is an SE whose driver says more than users need to know.
type telling struct {
	drivers.SE
	fails bool
}

var (
	errState = &fs.PathError{Op: "open", Path: "/perm/my tses/elements/sim1.state", Err: syscall.ENOSPC}
	errTells = fmt.Errorf("softse(sim1): i2c(/dev/i2c-1, 0x48): see tses-state/log and ISO/IEC 7816-4: %w",
		errors.Join(drivers.ErrMute, drivers.ErrOutcomeUnknown, errState, &os.LinkError{Op: "rename", Old: "/a b/c", New: "d", Err: syscall.EIO}))
)

func (s *telling) Reset(ctx context.Context, k drivers.ResetKind) ([]byte, error) {
	if s.fails {
		return nil, errTells
	}
	return s.SE.Reset(ctx, k)
}

func (s *telling) PowerOn(ctx context.Context) ([]byte, error) {
	if s.fails {
		return nil, errTells
	}
	return s.SE.PowerOn(ctx)
}

func (s *telling) Transmit(context.Context, []byte) ([]byte, error) { return nil, errTells }
func (s *telling) PowerOff(ctx context.Context) error {
	return errors.Join(s.SE.PowerOff(ctx), errTells)
}

// What an error tells depends on who asks: the server's paths and devices are for
// administrators, and who may see an alias alone sees neither the SEID behind it
// nor who has the SE. The log has all of it.
func TestWhatErrorsTell(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cred    access.Credential
		asks    string
		has     []string
		hasNot  []string
		told    bool // of all of it
		inUseBy string
	}{
		{"a user", access.Credential{Name: "bob", Planes: access.User}, "sim1",
			[]string{"sim1: ", "does not answer", "may have been executed", "ISO/IEC 7816-4", "no space left on device"}, []string{"/perm", "my tses", "elements", "/dev", "i2c-1", "tses-state", "/a b"}, false, "sim1 is in use by alice since 20"},
		{"a user, by the alias", access.Credential{Name: "bob", Planes: access.User}, "card",
			[]string{"does not answer"}, []string{"/perm", "/dev"}, false, "is in use by alice since 20"},
		{"who sees the alias alone", access.Credential{Name: "eve", Planes: access.User, SEs: []string{"card"}}, "card",
			[]string{"card: ", "does not answer", "may have been executed"}, []string{"sim1", "/", "softse", "i2c", "space"}, false, "card is in use by another user since 20"},
		{"an administrator who does", access.Credential{Name: "eve", Planes: access.Administrative, SEs: []string{"card"}}, "card",
			[]string{"card: ", "does not answer"}, []string{"sim1", "/"}, false, "card is in use by another user since 20"},
		{"an administrator", access.Credential{Name: "root", Planes: access.Administrative}, "sim1", []string{errTells.Error()}, nil, true, "sim1 is in use by alice since 20"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			se := &telling{SE: driverstest.NewScripted(driverstest.Options{})}
			g := grid.New()
			if err := errors.Join(g.Add("sim1", se), g.Alias("card", "sim1")); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			s := stp.NewSession(&tt.cred, g, slog.New(slog.NewTextHandler(&log, nil)))
			check := func(op string, err error) {
				t.Helper()
				if !errors.Is(err, drivers.ErrMute) || !errors.Is(err, errState) {
					t.Fatalf("%s: %v", op, err)
				}
				for _, part := range tt.has {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%s: %q lacks %q", op, err, part)
					}
				}
				for _, part := range tt.hasNot {
					if strings.Contains(err.Error(), part) {
						t.Errorf("%s: %q tells %q", op, err, part)
					}
				}
				if !tt.told && !strings.Contains(log.String(), "/perm/my tses/elements/sim1.state") {
					t.Errorf("%s: the log lacks it: %s", op, &log)
				}
				log.Reset()
			}
			if _, _, err := s.PowerOn(t.Context(), tt.asks); err != nil {
				t.Fatal(err)
			}
			_, err := s.Transmit(t.Context(), tt.asks, apdu.Command{INS: 0x84}, []byte{0, 0x84, 0, 0})
			check("transmit", err)
			se.fails = true
			_, err = s.Reset(t.Context(), tt.asks, drivers.Cold)
			check("reset", err)
			check("power off", s.PowerOff(tt.asks))
			_, _, err = s.PowerOn(t.Context(), tt.asks)
			check("power on", err)

			se.fails = false
			alice := g.NewSession("alice")
			if _, _, err := alice.PowerOn(t.Context(), "sim1"); err != nil {
				t.Fatal(err)
			}
			_, _, err = s.PowerOn(t.Context(), tt.asks)
			_, asked := s.Transmit(t.Context(), tt.asks, apdu.Command{INS: 0x84}, []byte{0, 0x84, 0, 0})
			for _, err := range []error{err, asked, s.PowerOff(tt.asks)} {
				if inUse := (*grid.InUseError)(nil); !errors.As(err, &inUse) || !strings.Contains(err.Error(), tt.inUseBy) {
					t.Errorf("in use: %v, want %q", err, tt.inUseBy)
				}
			}
		})
	}
}

// An SE that stays somebody's is another user's for who sees its alias alone.
func TestWhatAKeptSETells(t *testing.T) {
	se := keeps{driverstest.NewScripted(driverstest.Options{})}
	g := grid.New()
	if err := errors.Join(g.Add("sim1", se), g.Alias("card", "sim1")); err != nil {
		t.Fatal(err)
	}
	alice := g.NewSession("alice")
	if _, _, err := alice.PowerOn(t.Context(), "sim1"); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Transmit(t.Context(), "sim1", []byte{0, 0x84, 0, 0, 8}); err != nil {
		t.Fatal(err)
	}
	if err := alice.Close(); err != nil {
		t.Fatal(err)
	}
	for seid, want := range map[string]string{
		"card": "card stays with another user since 20", "sim1": "sim1 stays with alice since 20",
	} {
		s := stp.NewSession(&access.Credential{Name: "eve", Planes: access.User, SEs: []string{seid}}, g, slog.New(slog.DiscardHandler))
		_, _, err := s.PowerOn(t.Context(), seid)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "/dev") || seid == "card" && strings.Contains(err.Error(), "sim1") {
			t.Errorf("%s: %v, want %q", seid, err, want)
		}
	}
}

type keeps struct{ drivers.SE }

func (keeps) Keeps() error { return errors.New("the reset of sim1 at /dev/gpiochip0 is not wired") }
