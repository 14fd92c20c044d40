package racs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// explainHandshake finds the reason of a TLS error. offered tells whether the
// client had a certificate, now is its clock's time.
func explainHandshake(err error, addr string, offered bool, now time.Time) error {
	failed := &HandshakeError{Server: addr, Err: err}
	if alert, ok := alertOf(err); ok {
		failed.Reason = alertReason(alert, offered)
		return failed
	}
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		failed.Chain = bad.UnverifiedCertificates
		failed.Reason = verificationReason(bad.Err, now)
		return failed
	}
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("TLS with %s: %w", addr, err)
	case noTLS:
		failed.Reason = NotTLS
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		failed.Reason = HandshakeTimeout
	case hungUp(err):
		failed.Reason = HandshakeHungUp
	case strings.Contains(err.Error(), "unsupported protocol version"): // crypto/tls has no value for it
		failed.Reason = NoCommonVersion
	}
	return failed
}

// verificationReason finds out why the server's certificate was refused here.
func verificationReason(err error, now time.Time) Reason {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return ServerUnknownCA
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return ServerName
	}
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case !ok || invalid.Reason != x509.Expired:
		return ServerCertificate
	case invalid.Cert.NotBefore.After(now): // x509 has one reason for both ends of the validity
		return ServerNotYetValid
	}
	return ServerExpired
}

// alertOf is the alert that the other side sent, if err is one. crypto/tls
// does not export the type that it has for it; the text is the same as that of
// the exported [tls.AlertError] with its number.
func alertOf(err error) (tls.AlertError, bool) {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" || remote.Err == nil {
		return 0, false
	}
	for n := range 256 {
		if alert := tls.AlertError(n); alert.Error() == remote.Err.Error() {
			return alert, true
		}
	}
	return 0, false
}

// The alerts (RFC 8446, 6) that say something about the credential or the
// handshake. Number 41 is of SSL 3.0, where it says what 116 says today.
const (
	alertHandshakeFailure       tls.AlertError = 40
	alertNoCertificate          tls.AlertError = 41
	alertBadCertificate         tls.AlertError = 42
	alertUnsupportedCertificate tls.AlertError = 43
	alertCertificateRevoked     tls.AlertError = 44
	alertCertificateExpired     tls.AlertError = 45
	alertCertificateUnknown     tls.AlertError = 46
	alertUnknownCA              tls.AlertError = 48
	alertAccessDenied           tls.AlertError = 49
	alertProtocolVersion        tls.AlertError = 70
	alertCertificateRequired    tls.AlertError = 116
)

var alertReasons = map[tls.AlertError]Reason{
	alertHandshakeFailure:       NoCommonCipher,
	alertNoCertificate:          CredentialMissing,
	alertBadCertificate:         CredentialRefused,
	alertUnsupportedCertificate: CredentialUnsupported,
	alertCertificateRevoked:     CredentialRevoked,
	alertCertificateExpired:     CredentialExpired,
	alertCertificateUnknown:     CredentialUnsupported,
	alertUnknownCA:              CredentialUnknownCA,
	alertAccessDenied:           CredentialDenied,
	alertProtocolVersion:        NoCommonVersion,
	alertCertificateRequired:    CredentialMissing,
}

// alertReason says what an alert of the server means. Before TLS 1.3 a missing
// certificate has no alert of its own: it is bad_certificate or
// handshake_failure.
func alertReason(alert tls.AlertError, offered bool) Reason {
	reason := alertReasons[alert]
	if !offered && (reason == CredentialRefused || reason == NoCommonCipher) {
		return CredentialMissing
	}
	return reason
}
