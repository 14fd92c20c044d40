package pcsclite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Connection is a program's connection to a reader.
type Connection struct {
	client *Client
	card   uint32
	active atomic.Uint32
}

// Connect opens a connection to the reader of this name (PC/SC part 5,
// 3.2.5.1).
func (c *Client) Connect(ctx context.Context, reader string, share Share, p Protocol) (*Connection, error) {
	if err := checkName(reader); err != nil {
		return nil, err
	}
	m := connectBody{Context: c.id, Share: uint32(share), Protocols: uint32(p)}
	copy(m.Reader[:], reader)
	if err := c.call(ctx, cmdConnect, &m, nil, &m.RV); err != nil {
		return nil, fmt.Errorf("connect to reader %q: %w", reader, err)
	}
	conn := &Connection{client: c, card: m.Card}
	conn.active.Store(m.Active)
	return conn, nil
}

// Protocol is the protocol that was agreed on at the last connect or
// reconnect; 0 of a direct connection.
func (c *Connection) Protocol() Protocol { return Protocol(c.active.Load()) }

// Reconnect renews the connection after [WResetCard] or [WRemovedCard],
// changes its share mode, or resets the card.
func (c *Connection) Reconnect(ctx context.Context, share Share, p Protocol, d Disposition) error {
	m := reconnectBody{Card: c.card, Share: uint32(share), Protocols: uint32(p), Init: uint32(d)}
	err := c.client.call(ctx, cmdReconnect, &m, nil, &m.RV)
	if err != nil {
		return fmt.Errorf("reconnect: %w", err)
	}
	c.active.Store(m.Active)
	return nil
}

// Disconnect ends the connection.
func (c *Connection) Disconnect(ctx context.Context, d Disposition) error {
	m := disconnectBody{Card: c.card, Disposition: uint32(d)}
	return named("disconnect", c.client.call(ctx, cmdDisconnect, &m, nil, &m.RV))
}

// beginPause is how long Begin waits before it asks again. A [Server] answers
// only when the transaction in the way has ended or a second has passed; pcscd
// answers at once.
const beginPause = 10 * time.Millisecond

// Begin starts a transaction: until [Connection.End] nobody else reaches the
// card. It waits for others' to end, as long as ctx says.
func (c *Connection) Begin(ctx context.Context) error {
	for {
		m := handleBody{Handle: c.card}
		err := c.client.call(ctx, cmdBegin, &m, nil, &m.RV)
		if !errors.Is(err, ESharingViolation) {
			return named("begin a transaction", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("begin a transaction: %w: %w", err, context.Cause(ctx))
		case <-time.After(beginPause):
		}
	}
}

// End ends the innermost transaction.
func (c *Connection) End(ctx context.Context, d Disposition) error {
	m := disconnectBody{Card: c.card, Disposition: uint32(d)}
	return named("end a transaction", c.client.call(ctx, cmdEnd, &m, nil, &m.RV))
}

// Status fails where the program has to reconnect. The reader's state is in
// [Client.Readers].
func (c *Connection) Status(ctx context.Context) error {
	m := handleBody{Handle: c.card}
	return named("status", c.client.call(ctx, cmdStatus, &m, nil, &m.RV))
}

// pciSize is the size of SCARD_IO_REQUEST, which every request names.
const pciSize = 16

// Transmit sends a command of at most [MaxTransfer] bytes and returns the
// card's response.
func (c *Connection) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if len(command) > MaxTransfer {
		return nil, fmt.Errorf("transmit %d bytes, the most are %d: %w", len(command), MaxTransfer, EInvalidParameter)
	}
	active := c.active.Load()
	m := transmitBody{
		Card: c.card, SendProtocol: active, SendPCI: pciSize, SendLen: uint32(len(command)),
		RecvProtocol: active, RecvPCI: pciSize, RecvLen: MaxTransfer,
	}
	client := c.client
	client.mu.Lock()
	defer client.mu.Unlock()
	b := append(m.append(appendHeader(client.out[:0], cmdTransmit)), command...)
	if err := client.send(ctx, b); err != nil {
		return nil, named("transmit", err)
	}
	if err := client.receive(ctx, cmdTransmit, client.head[:]); err != nil {
		return nil, named("transmit", err)
	}
	m.parse(&client.head)
	if err := asError(m.RV); err != nil {
		return nil, named("transmit", err)
	}
	response, err := client.tail(ctx, m.RecvLen)
	return response, named("transmit", err)
}

// Control sends a control code with its input to the reader and returns the
// output.
func (c *Connection) Control(ctx context.Context, code uint32, in []byte) ([]byte, error) {
	if len(in) > MaxTransfer {
		return nil, fmt.Errorf("control with %d bytes, the most are %d: %w", len(in), MaxTransfer, EInvalidParameter)
	}
	m := controlBody{Card: c.card, Code: code, SendLen: uint32(len(in)), RecvLen: MaxTransfer}
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	if err := c.client.locked(ctx, cmdControl, &m, in, &m.RV); err != nil {
		return nil, fmt.Errorf("control %08X: %w", code, err)
	}
	return c.client.tail(ctx, m.Returned)
}

// Attrib is the value of an attribute.
func (c *Connection) Attrib(ctx context.Context, id Attribute) ([]byte, error) {
	m := attribBody{Card: c.card, ID: uint32(id), Len: MaxAttr}
	if err := c.client.call(ctx, cmdGetAttrib, &m, nil, &m.RV); err != nil {
		return nil, fmt.Errorf("attribute %08X: %w", uint32(id), err)
	}
	if m.Len > MaxAttr {
		return nil, fmt.Errorf("attribute %08X: %w: %d bytes", uint32(id), errMalformed, m.Len)
	}
	return m.Value[:m.Len:m.Len], nil
}

// SetAttrib sets an attribute to a value of at most [MaxAttr] bytes.
func (c *Connection) SetAttrib(ctx context.Context, id Attribute, value []byte) error {
	if len(value) > MaxAttr {
		return fmt.Errorf("set attribute %08X to %d bytes, the most are %d: %w", uint32(id), len(value), MaxAttr, EInvalidParameter)
	}
	m := attribBody{Card: c.card, ID: uint32(id), Len: uint32(len(value))}
	copy(m.Value[:], value)
	return named("set an attribute", c.client.call(ctx, cmdSetAttrib, &m, nil, &m.RV))
}

// named puts the operation before an error.
func named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
