package softse

import "github.com/cloud-of-se/tses/apdu"

// MaxChain bounds the data of a command chain in bytes; a longer one is
// answered 6A84.
const MaxChain = 65535

// chain is the part of a command that came in earlier commands of a chain
// (ISO/IEC 7816-4, 5.3.3).
type chain struct {
	header [4]byte // of its commands, without the chaining bit
	data   []byte
	active bool
}

// add takes one command. While more are to come the answer is sw; then the
// whole command comes out. A command with another header ends the chain, of
// which nothing remains, and is a command of its own. Chained commands with
// secure messaging are refused: each would be wrapped on its own.
func (k *chain) add(cmd apdu.Command) (whole apdu.Command, sw apdu.SW, more bool) {
	class := apdu.Class(cmd.CLA)
	header := [4]byte{cmd.CLA &^ 0x10, cmd.INS, cmd.P1, cmd.P2}
	if k.active && header != k.header {
		k.drop()
	}
	if !k.active && !class.Chained() {
		return cmd, apdu.SWSuccess, false
	}
	if class.SecureMessaging() {
		k.drop()
		return cmd, apdu.SWChainingNotSupported, false
	}
	if len(k.data)+len(cmd.Data) > MaxChain {
		k.drop()
		return cmd, apdu.SWNotEnoughMemory, false
	}
	k.header, k.active = header, true
	k.append(cmd.Data)
	if class.Chained() {
		return cmd, apdu.SWSuccess, true
	}
	cmd.Data = k.data
	return cmd, apdu.SWSuccess, false
}

// append grows the buffer without leaving a copy of its content behind.
func (k *chain) append(b []byte) {
	if len(k.data)+len(b) > cap(k.data) {
		grown := make([]byte, len(k.data), min(2*(len(k.data)+len(b)), MaxChain))
		copy(grown, k.data)
		clear(k.data)
		k.data = grown
	}
	k.data = append(k.data, b...)
}

// drop forgets the chain. A small buffer is kept for the next one.
func (k *chain) drop() {
	if !k.active {
		return
	}
	clear(k.data)
	k.data, k.active = k.data[:0], false
	if cap(k.data) > keep {
		k.data = nil
	}
}

// keep is up to which size in bytes a channel keeps a buffer for later use.
const keep = 8192
