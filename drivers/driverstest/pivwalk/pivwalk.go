// Package pivwalk is what a user of a PIV card does, for tests of what lies
// between the user and the card: it makes a key in the card, signs with it, and
// has Go's own crypto judge the signature.
//
// The card is the software SE, as the brain of a simulated chip or card
// ([NewBrain]); the walk ([Walk]) goes over any way that takes a command APDU
// and gives a response APDU.
package pivwalk

import (
	"bytes"
	"context"
	"crypto/des"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/piv"
)

// NewBrain is a software SE in memory with a fresh PIV application. t0 makes it
// behave as a card that speaks T=0 does. It is to be closed.
func NewBrain(t0 bool) (*softse.Card, error) {
	return softse.New(softse.Opts{Name: "brain", T0: t0, Packages: []applet.Package{piv.Package()}})
}

// Transmit sends a command APDU of the short form to a card that is on and
// returns the response APDU. On T=0 it may be 61XX.
type Transmit func(ctx context.Context, command []byte) ([]byte, error)

// The commands and references are those of NIST SP 800-73-4 part 2, clause 3.
const (
	insGenerate     = 0x47 // GENERATE ASYMMETRIC KEY PAIR
	insAuthenticate = 0x87 // GENERAL AUTHENTICATE

	refPIN  = 0x80 // of the application
	refKey  = 0x9A // PIV authentication, which wants the PIN
	refCard = 0x9B // the card management key

	alg3DES = 0x03
	algP256 = 0x11
)

var (
	aid           = []byte("\xA0\x00\x00\x03\x08\x00\x00\x10\x00\x01\x00") // SP 800-73-4 part 1, clause 2.2
	pin           = []byte("123456\xFF\xFF")                               // of a fresh card
	managementKey = bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3)
)

// IsGenerate tells whether a command makes a key, which takes a chip long.
func IsGenerate(command []byte) bool { return len(command) > 1 && command[1] == insGenerate }

// Walk selects PIV, has the card make a P-256 key as its administrator, is
// refused a signature for want of the PIN, gives the PIN, and wants a signature
// that crypto/ecdsa finds right.
func Walk(ctx context.Context, transmit Transmit) error {
	w := walker{ctx, transmit}
	if err := w.begin(); err != nil {
		return err
	}
	public, err := w.generate()
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte("signed in a secure element"))
	request := dynamic(tlv(0x82, nil), tlv(0x81, hash[:]))
	r, err := w.send(insAuthenticate, algP256, refKey, request)
	if err != nil {
		return fmt.Errorf("sign before VERIFY: %w", err)
	}
	if r.SW != apdu.SWSecurityStatus {
		return fmt.Errorf("sign before VERIFY: got %v, want %v", r.SW, apdu.SWSecurityStatus)
	}
	if _, err := w.ok("VERIFY", apdu.INSVerify, 0, refPIN, pin); err != nil {
		return err
	}
	data, err := w.ok("sign", insAuthenticate, algP256, refKey, request)
	if err != nil {
		return err
	}
	signature, _ := apdu.FindTLV(data, 0x7C, 0x82)
	if !ecdsa.VerifyASN1(public, hash[:], signature) {
		return fmt.Errorf("sign: % X is not this key's signature", data)
	}
	return nil
}

type walker struct {
	ctx      context.Context
	transmit Transmit
}

// begin selects and proves to be the administrator.
func (w walker) begin() error {
	data, err := w.ok("SELECT", apdu.INSSelect, 4, 0, aid)
	if err != nil {
		return err
	}
	if _, found := apdu.FindTLV(data, 0x61, 0x4F); !found {
		return fmt.Errorf("SELECT: % X is no application property template", data)
	}
	return w.authenticate()
}

// authenticate is mutual: the card sends a witness in cipher, gets it in clear
// with a challenge, and answers the challenge in cipher (SP 800-73-4 part 2,
// appendix A.1.1).
func (w walker) authenticate() error {
	block, err := des.NewTripleDESCipher(managementKey)
	if err != nil {
		return err
	}
	data, err := w.ok("ask for a witness", insAuthenticate, alg3DES, refCard, dynamic(tlv(0x80, nil)))
	if err != nil {
		return err
	}
	witness, _ := apdu.FindTLV(data, 0x7C, 0x80)
	if len(witness) != block.BlockSize() {
		return fmt.Errorf("ask for a witness: got % X", data)
	}
	plain, challenge, want := make([]byte, 8), make([]byte, 8), make([]byte, 8)
	rand.Read(challenge) // never fails: crypto/rand ends the process instead
	block.Decrypt(plain, witness)
	block.Encrypt(want, challenge)
	data, err = w.ok("authenticate", insAuthenticate, alg3DES, refCard, dynamic(tlv(0x80, plain), tlv(0x81, challenge)))
	if err != nil {
		return err
	}
	if got, _ := apdu.FindTLV(data, 0x7C, 0x82); !bytes.Equal(got, want) {
		return fmt.Errorf("authenticate: the card answers % X, want % X", got, want)
	}
	return nil
}

func (w walker) generate() (*ecdsa.PublicKey, error) {
	data, err := w.ok("generate", insGenerate, 0, refKey, tlv(0xAC, tlv(0x80, []byte{algP256})))
	if err != nil {
		return nil, err
	}
	point, _ := apdu.FindTLV(data, 0x7F49, 0x86)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("generate: public key % X: %w", data, err)
	}
	return public, nil
}

// ok is a command that has to work.
func (w walker) ok(what string, ins, p1, p2 byte, data []byte) ([]byte, error) {
	r, err := w.send(ins, p1, p2, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if r.SW != apdu.SWSuccess {
		return nil, fmt.Errorf("%s: %v", what, r.SW)
	}
	return r.Data, nil
}

// maxRounds bounds the GET RESPONSE for one answer; none here is long.
const maxRounds = 4

// send is one command and its whole answer.
func (w walker) send(ins, p1, p2 byte, data []byte) (whole apdu.Response, err error) {
	command := append([]byte{0, ins, p1, p2, byte(len(data))}, data...)
	if ins != apdu.INSVerify { // it is of case 3
		command = append(command, 0)
	}
	for range maxRounds {
		raw, err := w.transmit(w.ctx, command)
		if err != nil {
			return whole, err
		}
		r, err := apdu.ParseResponse(raw)
		if err != nil {
			return whole, err
		}
		whole = apdu.Response{Data: append(whole.Data, r.Data...), SW: r.SW}
		if r.SW>>8 != 0x61 {
			return whole, nil
		}
		command = []byte{0, apdu.INSGetResponse, 0, 0, byte(r.SW)}
	}
	return whole, errors.New("the card always has more to tell")
}

// dynamic is a dynamic authentication template.
func dynamic(objects ...[]byte) []byte { return tlv(0x7C, bytes.Join(objects, nil)) }

func tlv(tag apdu.Tag, value []byte) []byte { return apdu.AppendTLV(nil, tag, value) }
