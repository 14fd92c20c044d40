package pcsclite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// The sizes are those of the structs in pcsc-lite's winscard_msg.h and of
// READER_STATE in its eventhandler.h, on 32 and 64 bit machines alike.
func TestBodySizes(t *testing.T) {
	bodies := map[command]any{
		cmdEstablish: establishBody{}, cmdRelease: releaseBody{}, cmdConnect: connectBody{}, cmdReconnect: reconnectBody{},
		cmdDisconnect: disconnectBody{}, cmdBegin: handleBody{}, cmdEnd: disconnectBody{}, cmdTransmit: transmitBody{},
		cmdControl: controlBody{}, cmdStatus: handleBody{}, cmdCancel: handleBody{}, cmdGetAttrib: attribBody{},
		cmdSetAttrib: attribBody{}, cmdVersion: versionBody{},
	}
	for cmd, size := range bodySizes {
		body, ok := bodies[cmd]
		if !ok {
			body = struct{}{}
		}
		if got := binary.Size(body); got != size {
			t.Errorf("command %#x: %T has %d bytes, want %d", uint32(cmd), body, got, size)
		}
	}
	if got := len(appendState(nil, ReaderState{})); got != 184 {
		t.Errorf("a reader's record has %d bytes, want 184", got)
	}
	if MaxTransfer != 65548 {
		t.Errorf("a transfer has %d bytes at most, want 65548", MaxTransfer)
	}
}

func TestRequestBounds(t *testing.T) {
	encode := func(cmd command, body any, payload int) []byte {
		b, err := appendRequest(nil, cmd, body, make([]byte, payload))
		must(t, err)
		return b
	}
	transmit := encode(cmdTransmit, &transmitBody{SendLen: MaxTransfer}, MaxTransfer)
	tests := []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"the longest command", transmit, true},
		{"one byte more", encode(cmdTransmit, &transmitBody{SendLen: MaxTransfer + 1}, MaxTransfer+1), false},
		{"control, one byte more", encode(cmdControl, &controlBody{SendLen: MaxTransfer + 1}, MaxTransfer+1), false},
		{"cut short", transmit[:len(transmit)-1], false},
		{"a body that is too short", order.AppendUint32(order.AppendUint32(nil, 4), uint32(cmdBegin)), false},
		{"a body where none belongs", append(order.AppendUint32(order.AppendUint32(nil, 8), uint32(cmdWait)), make([]byte, 8)...), false},
		{"an unknown command", order.AppendUint32(order.AppendUint32(nil, 0), 0x18), false},
		{"SCARD_LIST_READERS, which nobody sends", order.AppendUint32(order.AppendUint32(nil, 0), 3), false},
	}
	for _, tt := range tests {
		_, err := readRequest(bytes.NewReader(tt.in))
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestProtocolsOf(t *testing.T) {
	tests := []struct {
		atr            string
		offered, first Protocol
	}{
		{"\x3B\x00", T0, T0},
		{"\x3B\x81\x80\x01\x41\x40", T0 | T1, T0},
		{"\x3B\x80\x81\x01", T1, T1},         // T=1 first and alone: TD1 81, TD2 01
		{"\x3B\xF0\x11\x00\xFF\x01", T1, T1}, // TA1, TB1, TC1, TD1
		{"\x3B\x8C\x81\x31\xFE\x45", T1, T1}, // TD1 81, TD2 31
		{"\x3B\x80\x80\x1F\x01", T0, T0},     // TD2 names T=15, no protocol
		{"\x3B\x80", T0, T0},                 // cut short
		{"", T0, T0},
	}
	for _, tt := range tests {
		if offered, first := protocolsOf([]byte(tt.atr)); offered != tt.offered || first != tt.first {
			t.Errorf("%X offers %d, first %d; want %d, %d", tt.atr, offered, first, tt.offered, tt.first)
		}
	}
}
