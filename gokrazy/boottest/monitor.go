package boottest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

// monitor is the socket of QEMU's own protocol.
func (m *Machine) monitor() string { return filepath.Join(m.dir, "qmp") }

// command has QEMU itself do something, by its protocol (QMP).
func (m *Machine) command(ctx context.Context, name string, arguments any) (json.RawMessage, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", m.monitor())
	if err != nil {
		return nil, fmt.Errorf("QEMU's monitor: %w", err)
	}
	defer conn.Close() // what was asked has been answered
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(10 * time.Second)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	type request struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}
	var last json.RawMessage
	for _, r := range []request{{Execute: "qmp_capabilities"}, {name, arguments}} {
		if err := out.Encode(r); err != nil {
			return nil, fmt.Errorf("QEMU's monitor: %w", err)
		}
		for last = nil; last == nil; {
			var answer struct {
				Return json.RawMessage `json:"return"`
				Error  *struct {
					Desc string `json:"desc"`
				} `json:"error"`
			}
			if err := in.Decode(&answer); err != nil { // greeting and events have neither
				return nil, fmt.Errorf("QEMU's monitor: %s: %w", name, err)
			}
			if answer.Error != nil {
				return nil, fmt.Errorf("QEMU's monitor: %s: %s", name, answer.Error.Desc)
			}
			last = answer.Return
		}
	}
	return last, nil
}

// PowerButton presses the machine's power button, which asks the box to switch
// itself off in good order.
func (m *Machine) PowerButton(ctx context.Context) error {
	_, err := m.command(ctx, "system_powerdown", nil)
	return err
}

const balloon = "/machine/peripheral/balloon"

// Memory is what of the machine's memory the box has taken, kernel and all: what
// the kernel says is there in all, less what it says programs can still get.
func (m *Machine) Memory(ctx context.Context) (taken uint64, err error) {
	type property struct {
		Path     string `json:"path"`
		Property string `json:"property"`
		Value    any    `json:"value,omitempty"`
	}
	if _, err := m.command(ctx, "qom-set", property{balloon, "guest-stats-polling-interval", 1}); err != nil {
		return 0, err
	}
	const unknown = ^uint64(0)
	for {
		raw, err := m.command(ctx, "qom-get", property{Path: balloon, Property: "guest-stats"})
		if err != nil {
			return 0, err
		}
		var said struct {
			Updated int64 `json:"last-update"`
			Stats   struct {
				Total     uint64 `json:"stat-total-memory"`
				Available uint64 `json:"stat-available-memory"`
			} `json:"stats"`
		}
		if err := json.Unmarshal(raw, &said); err != nil {
			return 0, fmt.Errorf("QEMU's monitor: %w", err)
		}
		if s := said.Stats; said.Updated != 0 && s.Total != unknown && s.Available != unknown {
			return s.Total - s.Available, nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return 0, errors.Join(errors.New("the machine does not tell its memory"), ctx.Err())
		}
	}
}
