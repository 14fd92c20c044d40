package vpcd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest"
)

// reader is the other side of vpcd's protocol.
type reader struct {
	t *testing.T
	net.Conn
}

func insert(t *testing.T, se drivers.SE) (reader, *Card) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	card, err := Insert(t.Context(), ln.Addr().String(), se)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return reader{t, conn}, card
}

// send sends length and message by themselves, as vpcd does.
func (r reader) send(message ...byte) {
	r.t.Helper()
	for _, part := range [][]byte{binary.BigEndian.AppendUint16(nil, uint16(len(message))), message} {
		if _, err := r.Write(part); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r reader) receive() []byte {
	r.t.Helper()
	length := make([]byte, 2)
	_, err := io.ReadFull(r, length)
	message := make([]byte, binary.BigEndian.Uint16(length))
	if err == nil {
		_, err = io.ReadFull(r, message)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return message
}

func TestCard(t *testing.T) {
	atr := []byte{0x3B, 0x80, 0x01, 0x81}
	se := driverstest.NewScripted(driverstest.Options{ATR: atr})
	r, card := insert(t, se)
	r.send(controlATR)
	if got := r.receive(); !bytes.Equal(got, atr) || se.On() {
		t.Errorf("ATR without power: %X, on %v", got, se.On())
	}
	r.send(controlOn)
	r.send(controlReset)
	r.send(controlATR)
	if got := r.receive(); !bytes.Equal(got, atr) || !se.On() || se.Counts().WarmResets != 1 {
		t.Errorf("ATR: %X, on %v, %+v", got, se.On(), se.Counts())
	}
	r.send(0x00, 0xB0, 0x00, 0x00, 0x02)
	if got := r.receive(); !bytes.Equal(got, []byte{0, 1, 0x90, 0}) {
		t.Errorf("READ BINARY: %X", got)
	}
	long := append([]byte{0x80, 0xE0, 0, 0, 0, 0xFF, 0x00}, driverstest.Pattern(0xFF00)...)
	r.send(append(long, 0, 0)...)
	if got := r.receive(); len(got) != 0xFF02 {
		t.Errorf("echo: %d bytes", len(got))
	}
	r.send(controlOff)
	r.send(controlATR)
	r.receive()
	if se.On() {
		t.Error("it has power after off")
	}
	if err := card.Pull(); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a pulled card: %v, want %v", err, io.EOF)
	}
}

// A card that is pulled in a command does not answer it.
func TestPullInCommand(t *testing.T) {
	se := driverstest.NewScripted(driverstest.Options{})
	r, card := insert(t, se)
	r.send(controlOn)
	r.send(0x80, 0xDD, 0xFF, 0xFF) // 65 s
	for se.Counts().Commands == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := card.Pull(); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want %v", err, io.EOF)
	}
	if se.On() {
		t.Error("it has power outside of the reader")
	}
}

// An SE that fails, a reader that goes and a message that is none end a card,
// and Pull says why.
func TestCardLeaves(t *testing.T) {
	for name, do := range map[string]func(reader, *driverstest.Scripted){
		"fault":   func(r reader, se *driverstest.Scripted) { se.SetFault(driverstest.Mute); r.send(controlOn) },
		"reader":  func(r reader, _ *driverstest.Scripted) { r.Close() },
		"message": func(r reader, _ *driverstest.Scripted) { r.send(0x77) },
	} {
		se := driverstest.NewScripted(driverstest.Options{})
		r, card := insert(t, se)
		do(r, se)
		select {
		case <-card.Gone():
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: the card stays", name)
		}
		if err := card.Pull(); err == nil {
			t.Errorf("%s: Pull does not say why it had left", name)
		}
	}
}
