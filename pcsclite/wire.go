package pcsclite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// errMalformed is matched by what is wrong with a message. A side that finds
// one closes the connection: behind it nothing can be told from anything.
var errMalformed = errors.New("malformed PC/SC message")

// order is the byte order of all numbers. Both ends are on one machine.
var order = binary.NativeEndian

// headerSize is the length of what stands before each request: the length of
// its body and its command. Answers have no header.
const headerSize = 8

type command uint32

const (
	cmdEstablish    command = 0x01
	cmdRelease      command = 0x02
	cmdConnect      command = 0x04
	cmdReconnect    command = 0x05
	cmdDisconnect   command = 0x06
	cmdBegin        command = 0x07
	cmdEnd          command = 0x08
	cmdTransmit     command = 0x09
	cmdControl      command = 0x0A
	cmdStatus       command = 0x0B
	cmdCancel       command = 0x0D
	cmdGetAttrib    command = 0x0F
	cmdSetAttrib    command = 0x10
	cmdVersion      command = 0x11
	cmdReaders      command = 0x12
	cmdWait         command = 0x13
	cmdStopWait     command = 0x14
	cmdReaderEvents command = 0x15 // since 4:5
	cmdArraySize    command = 0x16 // since 4:6
	cmdArray        command = 0x17 // since 4:6
)

// The bodies. A request and its answer have the same body; what a field means
// in which direction is told where it is not plain. Fields are exported for
// encoding/binary.
type (
	versionBody   struct{ Major, Minor, RV uint32 }
	establishBody struct{ Scope, Context, RV uint32 }
	releaseBody   struct{ Context, RV uint32 }
	connectBody   struct {
		Context   uint32
		Reader    [MaxName + 1]byte
		Share     uint32
		Protocols uint32
		Card      uint32
		Active    uint32
		RV        uint32
	}
	reconnectBody  struct{ Card, Share, Protocols, Init, Active, RV uint32 }
	disconnectBody struct{ Card, Disposition, RV uint32 } // and end of a transaction
	handleBody     struct{ Handle, RV uint32 }            // begin, status, cancel (a context)
	transmitBody   struct{ Card, SendProtocol, SendPCI, SendLen, RecvProtocol, RecvPCI, RecvLen, RV uint32 }
	controlBody    struct{ Card, Code, SendLen, RecvLen, Returned, RV uint32 }
	attribBody     struct {
		Card, ID uint32
		Value    [MaxAttr]byte
		Len, RV  uint32
	}
	waitBody   struct{ Timeout, RV uint32 } // an answer only: to a wait or to its end
	eventsBody struct{ Events, RV uint32 }  // an answer only
)

// bodySizes has the length of each request's body: 0 for those without.
var bodySizes = map[command]int{
	cmdEstablish: 12, cmdRelease: 8, cmdConnect: 152, cmdReconnect: 24, cmdDisconnect: 12, cmdBegin: 8, cmdEnd: 12,
	cmdTransmit: 32, cmdControl: 24, cmdStatus: 8, cmdCancel: 8, cmdGetAttrib: 280, cmdSetAttrib: 280,
	cmdVersion: 12, cmdReaders: 0, cmdWait: 0, cmdStopWait: 0, cmdReaderEvents: 0,
	cmdArraySize: 0, cmdArray: 0,
}

// parseHeader reads a request's header and returns its command and the length
// of its body, which is the only one that the command can have.
func parseHeader(b []byte) (command, int, error) {
	if len(b) != headerSize {
		return 0, 0, fmt.Errorf("%w: a header has %d bytes, not %d", errMalformed, headerSize, len(b))
	}
	cmd := command(order.Uint32(b[4:]))
	want, known := bodySizes[cmd]
	if !known {
		return 0, 0, fmt.Errorf("%w: unknown command %d", errMalformed, cmd)
	}
	if size := order.Uint32(b); size != uint32(want) {
		return 0, 0, fmt.Errorf("%w: command %d has a body of %d bytes, not %d", errMalformed, cmd, want, size)
	}
	return cmd, want, nil
}

// payloadLen is the number of bytes that follow a request's body.
func payloadLen(cmd command, body []byte) (int, error) {
	var n uint32
	switch cmd {
	case cmdTransmit:
		n = order.Uint32(body[12:])
	case cmdControl:
		n = order.Uint32(body[8:])
	}
	if n > MaxTransfer {
		return 0, fmt.Errorf("%w: command %d brings %d bytes, the most are %d", errMalformed, cmd, n, MaxTransfer)
	}
	return int(n), nil
}

// appendRequest encodes a request with its header behind dst. A nil body is
// none.
func appendRequest(dst []byte, cmd command, body any, payload []byte) ([]byte, error) {
	dst = appendHeader(dst, cmd)
	if body != nil {
		var err error
		if dst, err = binary.Append(dst, order, body); err != nil {
			return nil, fmt.Errorf("encode command %d: %w", cmd, err)
		}
	}
	return append(dst, payload...), nil
}

func appendHeader(dst []byte, cmd command) []byte {
	return order.AppendUint32(order.AppendUint32(dst, uint32(bodySizes[cmd])), uint32(cmd))
}

// transmitSize is the length of a transmitBody, the one body that is sent so often
// that package binary's reflection shows.
const transmitSize = 32

func (m *transmitBody) append(dst []byte) []byte {
	for _, v := range [...]uint32{m.Card, m.SendProtocol, m.SendPCI, m.SendLen, m.RecvProtocol, m.RecvPCI, m.RecvLen, m.RV} {
		dst = order.AppendUint32(dst, v)
	}
	return dst
}

func (m *transmitBody) parse(b *[transmitSize]byte) {
	for i, v := range [...]*uint32{&m.Card, &m.SendProtocol, &m.SendPCI, &m.SendLen, &m.RecvProtocol, &m.RecvPCI, &m.RecvLen, &m.RV} {
		*v = order.Uint32(b[4*i:])
	}
}

// decode fills a body from exactly its bytes.
func decode(b []byte, body any) error {
	n, err := binary.Decode(b, order, body)
	if err != nil || n != len(b) {
		return fmt.Errorf("%w: %d bytes are no %T", errMalformed, len(b), body)
	}
	return nil
}

// text is a name up to its first NUL.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
