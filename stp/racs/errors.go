package racs

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// What a call of the [Client] fails with, beside a [Status] that the server
// sent, a [HandshakeError], and the error of the call's context.
var (
	// ErrServerGone says that the server closed the connection, or vanished.
	// The error wraps the cause. Dial again to go on.
	ErrServerGone = errors.New("the server is gone")

	// ErrNotLetIn says that the server refused the credential. The error is a
	// [HandshakeError], which says why and what to do.
	ErrNotLetIn = errors.New("not let in")

	// ErrOutcomeUnknown says that the request went out, wholly or in part, and
	// no answer came: its commands may have been executed or not. It stands
	// beside the reason in an error. An error of a call without it says that
	// nothing was sent.
	ErrOutcomeUnknown = errors.New("it is not known which of its commands were executed")

	// ErrClosed says that this side closed the client.
	ErrClosed = errors.New("the client is closed")
)

// gone makes the cause of the end of a connection an error of the client's
// kind. What explains itself is left as it is.
func gone(cause error) error {
	var handshake *HandshakeError
	switch {
	case errors.As(cause, &handshake), errors.Is(cause, ErrNotRACS), errors.Is(cause, ErrClosed):
		return cause
	case errors.Is(cause, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ended the connection within an answer: %w", ErrServerGone, cause)
	case errors.Is(cause, io.EOF):
		return fmt.Errorf("%w: it closed the connection: %w", ErrServerGone, cause)
	case errors.Is(cause, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: it does not read what is sent to it: %w", ErrServerGone, cause)
	}
	return fmt.Errorf("%w: %w", ErrServerGone, cause)
}

// hungUp tells whether err says that the other side ended the connection,
// rather than that this side or the network did.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}
