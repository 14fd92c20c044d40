package boottest

import (
	"context"
	"crypto/des"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/stp/racs"
)

// A PIV session from power on to a signature, as a user of a new box has it.
// Commands and templates are those of SP 800-73-4, part 2; the keys and the PIN
// are those of a new card.
func TestSession(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	m := Start(ctx, t, Options{Card: shared.Card(ctx, t)})
	client, err := m.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	usePIV(ctx, t, client)
	card := piv{client, "soft1"}
	card.authenticate(ctx, t)
	point := card.generate(ctx, t)
	card.verify(ctx, pin(0)).must(t)
	digest := sha256.Sum256([]byte("first signature on a new box"))
	signature := card.authenticationTemplate(ctx, t, 0x11, 0x9A, []tlv{{0x82, nil}, {0x81, digest[:]}}, 0x82)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(key, digest[:], signature) {
		t.Errorf("the signature %X is not one of the key %X", signature, point)
	}
}

// piv is the PIV application of an SE, selected.
type piv struct {
	client *racs.Client
	seid   string
}

// reply is an answer, or why there is none.
type reply struct {
	data []byte
	sw   apdu.SW
	err  error
}

func (p piv) send(ctx context.Context, command []byte) reply {
	answer, err := p.client.Transmit(ctx, p.seid, command)
	if err == nil && len(answer) < 2 {
		err = fmt.Errorf("an answer of %d bytes", len(answer))
	}
	if err != nil {
		return reply{err: err}
	}
	n := len(answer) - 2
	return reply{data: answer[:n], sw: apdu.SW(uint16(answer[n])<<8 | uint16(answer[n+1]))}
}

// must is the data of an answer that is 9000.
func (r reply) must(t *testing.T) []byte {
	t.Helper()
	if r.err != nil || r.sw != 0x9000 {
		t.Fatalf("%04X, %v, want 9000", uint16(r.sw), r.err)
	}
	return r.data
}

// tlv is a data object of a dynamic authentication template.
type tlv struct {
	tag   apdu.Tag
	value []byte
}

// authenticationTemplate does GENERAL AUTHENTICATE and returns an object of the
// template that comes back.
func (p piv) authenticationTemplate(ctx context.Context, t *testing.T, algorithm, key byte, objects []tlv, want apdu.Tag) []byte {
	t.Helper()
	var template []byte
	for _, o := range objects {
		template = apdu.AppendTLV(template, o.tag, o.value)
	}
	data := apdu.AppendTLV(nil, 0x7C, template)
	answer := p.send(ctx, append(append([]byte{0x00, 0x87, algorithm, key, byte(len(data))}, data...), 0)).must(t)
	if want == 0 {
		return nil
	}
	value, ok := apdu.FindTLV(answer, 0x7C, want)
	if !ok {
		t.Fatalf("no object %X in %X", uint32(want), answer)
	}
	return value
}

// authenticate shows the card that the host knows its management key.
func (p piv) authenticate(ctx context.Context, t *testing.T) {
	t.Helper()
	block, err := des.NewTripleDESCipher(slices.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3))
	if err != nil {
		t.Fatal(err)
	}
	const tripleDES, managementKey = 0x03, 0x9B
	challenge := p.authenticationTemplate(ctx, t, tripleDES, managementKey, []tlv{{0x81, nil}}, 0x81)
	block.Encrypt(challenge, challenge)
	p.authenticationTemplate(ctx, t, tripleDES, managementKey, []tlv{{0x82, challenge}}, 0)
}

// generate makes a key on P-256 for PIV authentication and returns its public
// point.
func (p piv) generate(ctx context.Context, t *testing.T) []byte {
	t.Helper()
	answer := p.send(ctx, []byte{0x00, 0x47, 0x00, 0x9A, 0x05, 0xAC, 0x03, 0x80, 0x01, 0x11, 0x00}).must(t)
	point, ok := apdu.FindTLV(answer, 0x7F49, 0x86)
	if !ok {
		t.Fatalf("no public key in %X", answer)
	}
	return point
}

// pin is one of many; pin(0) is what a new card has.
func pin(n int) []byte {
	return append(fmt.Appendf(nil, "%06d", (123456+n)%1_000_000), 0xFF, 0xFF)
}

func (p piv) verify(ctx context.Context, pin []byte) reply {
	return p.send(ctx, append([]byte{0x00, 0x20, 0x00, 0x80, 0x08}, pin...))
}

func (p piv) changePIN(ctx context.Context, from, to []byte) reply {
	return p.send(ctx, append(append([]byte{0x00, 0x24, 0x00, 0x80, 0x10}, from...), to...))
}
