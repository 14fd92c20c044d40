package racs

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
)

// maxBatch bounds the bytes of one request of a batch, so that the answers
// that a server has to hold stay few and a cancelled call leaves little behind.
const maxBatch = MaxAnswer

// Batch sends command APDUs to the SE in as few requests as the limits of RACS
// permit, which saves a round trip for all but the first of each. The response
// APDUs come back in the same order. The first command that fails ends the
// batch: the answers before it are returned beside the error, which says which
// one it was. The options hold for every command; with Continue a status word
// other than that one ends the batch.
func (c *Client) Batch(ctx context.Context, seid string, commands [][]byte, options APDUOptions) ([][]byte, error) {
	answers := make([][]byte, 0, len(commands))
	for len(answers) < len(commands) {
		rest := commands[len(answers):]
		got, err := c.batchOnce(ctx, seid, rest[:fitting(rest, options)], options)
		failed := len(answers) + 1 + len(got)
		if status, ok := errors.AsType[Status](err); ok && status.Line > len(got) {
			failed = len(answers) + status.Line // another server may have dropped results
		}
		answers = append(answers, got...)
		if err != nil {
			return answers, fmt.Errorf("APDU %d of %d to %s: %w", failed, len(commands), seid, err)
		}
	}
	return answers, nil
}

// batchOnce sends commands in one request and returns the answers up to the
// first that is missing.
func (c *Client) batchOnce(ctx context.Context, seid string, commands [][]byte, options APDUOptions) ([][]byte, error) {
	request := c.newRequest()
	defer func() { clear(request.wire) }() // it may hold a PIN
	for _, command := range commands {
		request.APDU(seid, command, options).Keep()
	}
	response, err := c.Do(ctx, request)
	if response == nil {
		return nil, err
	}
	answers := make([][]byte, 0, len(commands))
	for _, status := range response.Statuses {
		if !status.OK {
			break
		}
		if status.Line != len(answers)+1 || len(answers) == len(commands) {
			return answers, fmt.Errorf("result line %s is out of its order: %w", excerpt([]byte(status.String())), ErrNotRACS)
		}
		answer, err := responseAPDU(status)
		if err != nil {
			return answers, err
		}
		answers = append(answers, answer)
	}
	if err == nil && len(answers) < len(commands) {
		err = fmt.Errorf("the answer lacks its result: %w", ErrNotRACS)
	}
	return answers, err
}

// resultRoom is the room in an answer that a careful server wants to see before
// it executes an APDU: that of the longest response APDU.
const resultRoom = 2*apdu.MaxResponse + 2*MaxName

// fitting is the number of commands, at least one, that one request can hold
// and whose results leave room in the answer for each of them.
func fitting(commands [][]byte, options APDUOptions) int {
	request, answer := 0, len("BEGIN END")+MaxName
	for i, command := range commands {
		request += 2*len(command) + MaxName
		if i > 0 && (i == MaxCommands || request > maxBatch || answer+resultRoom > MaxAnswer) {
			return i
		}
		answer += resultBytes(command, options)
	}
	return len(commands)
}

// resultBytes is the length that the result line of a command can have, if the
// chip obeys its Ne. One that does not makes the server end the request early.
func resultBytes(command []byte, options APDUOptions) int {
	const frame = len("+006 1234 9000\r\n")
	if options.More != 0 {
		return resultRoom
	}
	cmd, err := apdu.Parse(command)
	if err != nil {
		return frame // the request will say so
	}
	return frame + 2*max(cmd.Ne, 256)
}
