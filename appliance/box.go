package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/cloud-of-se/tses/access"
)

const (
	boxConfig = "config.toml" // beside the identity, where the card brings a configuration
	boxListen = "0.0.0.0:7777"
)

// configFile is the configuration's file, "" where there is none.
func (f flags) configFile() (string, error) {
	if f.box == "" || f.config != "" {
		return f.config, nil
	}
	path := filepath.Join(f.box, boxConfig)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	return path, nil
}

// configured is the configuration with what the command line says of it.
func configured(f flags) (config, error) {
	path, err := f.configFile()
	if err != nil {
		return config{}, err
	}
	c, err := loadConfig(path)
	if err != nil {
		return c, err
	}
	if _, err := c.checkAccess(); err != nil {
		return c, err
	}
	// Loopback is where a TSES starts on a machine that has other uses. Nobody
	// could reach a box there.
	if f.box != "" && c.Listen == defaultConfig().Listen {
		c.Listen = boxListen
	}
	if f.listen != "" {
		c.Listen = f.listen
	}
	return c, nil
}

// box is a TSES that an owner has made an SD card for.
type box struct{ *access.Box }

func openBox(f flags, log *slog.Logger) (identity, *os.File, error) {
	if err := os.MkdirAll(f.state, 0o700); err != nil {
		return nil, nil, fmt.Errorf("state directory: %w", err)
	}
	lock, err := lockState(f.state)
	if err != nil {
		return nil, nil, err
	}
	b, err := access.OpenBox(f.box, f.state)
	if errors.Is(err, access.ErrRegistry) {
		b, err = reopenBox(f, err, log)
	}
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return box{b}, lock, nil
}

// reopenBox opens a box whose registry of credentials is gone or damaged: its
// owner could not reach it otherwise to cure it. First the loss is claimed, so
// that it is known at every start until the owner accepts it.
func reopenBox(f flags, cause error, log *slog.Logger) (*access.Box, error) {
	if onTrial() {
		return nil, cause
	}
	claimLoss(f.state, "its list of revoked credentials is gone or damaged", log)
	refused, err := access.RenewRegistry(f.state)
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	log.Error("the list of revoked credentials is begun anew with what the card names; credentials in what is left of the old one are refused, since it cannot be judged whether they were revoked",
		"refused", refused, "err", cause)
	return access.OpenBox(f.box, f.state)
}

// serverCertificate is for the names that the owner gave the box, whatever its
// addresses are.
func (b box) serverCertificate(config, net.Addr) (func() (*tls.Certificate, error), error) {
	cert, err := b.ServerCertificate()
	return func() (*tls.Certificate, error) { return cert, err }, err
}

// announce is read on the console and in the log of the box: how to reach it
// was said where the card was made.
func (b box) announce(w io.Writer, addr string, _ []string) {
	fmt.Fprintf(w, "RACS ready on %s\nThis box is %s\n", addr, b.Names()[0])
}
