package racs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/cloud-of-se/tses/apdu"
)

// Version asks for the version of RACS that the server speaks, [Version].
func (c *Client) Version(ctx context.Context) (string, error) {
	status, err := c.one(ctx, c.newRequest().Version())
	return status.Text, wrap(err, "version")
}

// List asks for the SEIDs that the credential may use, in the server's order. What
// a server has written shorter is expanded, see [ExpandList].
func (c *Client) List(ctx context.Context) ([]string, error) {
	status, err := c.one(ctx, c.newRequest().List())
	if err != nil {
		return nil, wrap(err, "list")
	}
	seids, err := ExpandList(status.Text)
	return seids, wrap(err, "list")
}

// Echo sends one word and returns what came back.
func (c *Client) Echo(ctx context.Context, word string) (string, error) {
	status, err := c.one(ctx, c.newRequest().Echo(word))
	return status.Text, wrap(err, "echo")
}

// PowerOn takes the SE for this session and powers it on. The answer to reset
// is nil if the server does not tell it. It fails with [InUse] while another
// session has the SE; on an SE that this session has on already it succeeds.
func (c *Client) PowerOn(ctx context.Context, seid string) (atr []byte, err error) {
	status, err := c.one(ctx, c.newRequest().PowerOn(seid))
	return findATR(status.Text), wrap(err, "power on "+seid)
}

// Shutdown powers the SE off and gives it free for other sessions.
func (c *Client) Shutdown(ctx context.Context, seid string) error {
	_, err := c.one(ctx, c.newRequest().Shutdown(seid))
	return wrap(err, "power off "+seid)
}

// Reset resets the SE, cold or warm. The answer to reset is nil if the server
// does not tell it. An SE that is off fails with [Illegal].
func (c *Client) Reset(ctx context.Context, seid string, warm bool) (atr []byte, err error) {
	status, err := c.one(ctx, c.newRequest().Reset(seid, warm))
	return findATR(status.Text), wrap(err, "reset "+seid)
}

// Transmit sends one command APDU to the SE, which must be on, and returns the
// response APDU: data and status word, as the chip gave it; 6CXX to a command
// that only asks for data is obeyed by the server. An error that matches
// [ErrOutcomeUnknown] leaves open whether the chip got the command.
func (c *Client) Transmit(ctx context.Context, seid string, command []byte) ([]byte, error) {
	return c.TransmitWith(ctx, seid, command, APDUOptions{})
}

// TransmitWith is Transmit with options.
func (c *Client) TransmitWith(ctx context.Context, seid string, command []byte, options APDUOptions) ([]byte, error) {
	request := c.newRequest().APDU(seid, command, options)
	defer clear(request.wire) // it may hold a PIN
	status, err := c.one(ctx, request)
	if err != nil {
		return nil, wrap(err, "APDU to "+seid)
	}
	answer, err := responseAPDU(status)
	return answer, wrap(err, "APDU to "+seid)
}

// TransmitRaw is Transmit for those who play T=0: 6CXX is an answer like any
// other. A server that does not know RAW is asked once in a session, and from
// then on without it; what it refused for its options never reached the SE.
func (c *Client) TransmitRaw(ctx context.Context, seid string, command []byte) ([]byte, error) {
	if !c.noRaw.Load() {
		answer, err := c.TransmitWith(ctx, seid, command, APDUOptions{Raw: true})
		status, answered := errors.AsType[Status](err)
		if !answered || status.Class != NotSupported {
			return answer, err
		}
	}
	answer, err := c.Transmit(ctx, seid, command)
	if err == nil { // it was RAW, not the SEID
		c.noRaw.Store(true)
	}
	return answer, err
}

// one does a request of one command and returns its result.
func (c *Client) one(ctx context.Context, request *Request) (Status, error) {
	response, err := c.Do(ctx, request)
	if err != nil {
		return Status{}, err
	}
	status, ok := response.At(1)
	if !ok {
		return Status{}, fmt.Errorf("the answer lacks the result of the command: %w", ErrNotRACS)
	}
	return status, nil
}

// responseAPDU takes the response APDU out of APDU's result.
func responseAPDU(status Status) ([]byte, error) {
	b, err := hex.DecodeString(status.Text)
	if err == nil {
		_, err = apdu.ParseResponse(b)
	}
	if err != nil {
		return nil, fmt.Errorf("result line %s holds no response APDU (%w): %w", excerpt([]byte(status.String())), err, ErrNotRACS)
	}
	return b, nil
}

// findATR takes the answer to reset out of a text that ends in "ATR 3B...".
// The text is free in RACS: nil says that there is none.
func findATR(text string) []byte {
	words := strings.Fields(text)
	if len(words) < 2 || words[len(words)-2] != "ATR" {
		return nil
	}
	atr, err := hex.DecodeString(words[len(words)-1])
	if err != nil || len(atr) < 2 {
		return nil
	}
	return atr
}

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
