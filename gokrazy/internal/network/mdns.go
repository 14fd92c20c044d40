//go:build linux

package network

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/brutella/dnssd"
)

// Announce makes the box known as NAME.local, with its RACS service, until the
// context is done (RFC 6762, RFC 6763).
func Announce(ctx context.Context, name string, port int, log *slog.Logger) {
	retry(ctx, log, func(ctx context.Context) error {
		service, err := dnssd.NewService(dnssd.Config{Name: name, Type: "_racs._tcp", Host: name, Port: port})
		if err != nil {
			return fmt.Errorf("mDNS: %w", err)
		}
		responder, err := dnssd.NewResponder()
		if err != nil {
			return fmt.Errorf("mDNS: %w", err)
		}
		if _, err := responder.Add(service); err != nil {
			return fmt.Errorf("mDNS: %w", err)
		}
		return responder.Respond(ctx)
	})
}
