package update

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// magic begins a bundle, and what is signed of it. The digit is the version of
// the format.
const magic = "TSES update bundle 1"

// Errors of a bundle.
var (
	// ErrFormat says that bytes are no bundle that this package knows.
	ErrFormat = errors.New("not an update bundle of format 1")
	// ErrSignature says that a header is not as the owner has signed it.
	ErrSignature = errors.New("not signed by the box's owner")
	// ErrDigest says that a part is not the one that the header tells of.
	ErrDigest = errors.New("the content is not the one that was signed")
	// ErrLength says that a bundle's file was cut off, or that something stands
	// behind the bundle.
	ErrLength = errors.New("it is not all of an update, or more than one")
)

// Order is what a bundle is made of.
type Order struct {
	Box, Version string
	Built        int64 // Unix time in seconds
	Replaces     int64 // see [Header.Replaces]
	Root         io.ReadSeeker
	Boot         io.ReadSeeker // nil: the boot partition stays as it is
	BootName     string
	Owner        crypto.Signer // the key of the owner's CA, ECDSA on P-256
}

// Write writes a bundle. Root and Boot are read twice. Two bundles of the same
// order are the same bytes.
func Write(w io.Writer, o Order) (*Header, error) {
	h := &Header{Box: o.Box, Version: o.Version, Built: o.Built, Replaces: o.Replaces}
	var err error
	if h.Root, err = measure(o.Root); err != nil {
		return nil, fmt.Errorf("update bundle: root: %w", err)
	}
	if o.Boot != nil {
		part, err := measure(o.Boot)
		if err != nil {
			return nil, fmt.Errorf("update bundle: boot: %w", err)
		}
		part.Name = o.BootName
		h.Boot = &part
	}
	head, err := seal(h, o.Owner)
	if err != nil {
		return nil, fmt.Errorf("update bundle: %w", err)
	}
	if _, err := w.Write(head); err != nil {
		return nil, fmt.Errorf("update bundle: %w", err)
	}
	if err := CopyPart(w, o.Root, h.Root); err != nil {
		return nil, fmt.Errorf("update bundle: root: %w", err)
	}
	if h.Boot != nil {
		if err := CopyPart(w, o.Boot, *h.Boot); err != nil {
			return nil, fmt.Errorf("update bundle: boot: %w", err)
		}
	}
	return h, nil
}

// Permit copies a bundle with the word of its owner that it may replace what was
// built until a time, in seconds of Unix time, though it is older itself. Nobody
// else's bundle is copied.
func Permit(w io.Writer, bundle io.Reader, owner crypto.Signer, replaces int64) (*Header, error) {
	public, ok := owner.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("update bundle: %w", errOwnerKey)
	}
	h, _, err := ReadHead(bundle, public)
	if err != nil {
		return nil, err
	}
	h.Replaces = replaces
	head, err := seal(h, owner)
	if err != nil {
		return nil, fmt.Errorf("update bundle: %w", err)
	}
	if _, err := w.Write(head); err != nil {
		return nil, fmt.Errorf("update bundle: %w", err)
	}
	if err := CopyPart(w, bundle, h.Root); err != nil {
		return nil, fmt.Errorf("update bundle: root: %w", err)
	}
	if h.Boot != nil {
		if err := CopyPart(w, bundle, *h.Boot); err != nil {
			return nil, fmt.Errorf("update bundle: boot: %w", err)
		}
	}
	return h, nil
}

// errOwnerKey says that a key cannot sign bundles.
var errOwnerKey = errors.New("the owner's key is not one for ECDSA on P-256")

// measure finds size and digest, and goes back to the beginning.
func measure(r io.ReadSeeker) (p Part, err error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return p, err
	}
	hash := sha256.New()
	if p.Size, err = io.Copy(hash, r); err != nil {
		return p, err
	}
	hash.Sum(p.SHA256[:0])
	_, err = r.Seek(0, io.SeekStart)
	return p, err
}

// seal is the signed head of a bundle.
func seal(h *Header, owner crypto.Signer) ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(text) > MaxHeader {
		return nil, fmt.Errorf("header of %d bytes, the limit is %d", len(text), MaxHeader)
	}
	head := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(text)))
	head = append(head, text...)
	if public, ok := owner.Public().(*ecdsa.PublicKey); !ok || public.Curve != elliptic.P256() {
		return nil, errOwnerKey
	}
	digest := sha256.Sum256(head)
	// Without a source of chance the signature is that of RFC 6979.
	signature, err := owner.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	head = binary.BigEndian.AppendUint16(head, uint16(len(signature)))
	return append(head, signature...), nil
}

// ReadHead reads the head of a bundle, and not a byte more. It fails with
// [ErrFormat] where it is none, and with [ErrSignature] unless the owner has
// signed it; nothing of the header is looked at before that. raw is the head as
// it was read.
func ReadHead(r io.Reader, owner *ecdsa.PublicKey) (h *Header, raw []byte, err error) {
	signed, signature, err := readHead(r)
	if err != nil {
		return nil, nil, err
	}
	digest := sha256.Sum256(signed)
	if !ecdsa.VerifyASN1(owner, digest[:], signature) {
		return nil, nil, fmt.Errorf("update bundle: %w; build it with the owner's directory that the box was made with", ErrSignature)
	}
	if h, err = parseHeader(signed[len(magic)+4:]); err != nil {
		return nil, nil, fmt.Errorf("update bundle: header: %w", err)
	}
	raw = binary.BigEndian.AppendUint16(signed, uint16(len(signature)))
	return h, append(raw, signature...), nil
}

// Peek is ReadHead for who cannot judge the signature, and only wants to know
// what a bundle says of itself.
func Peek(r io.Reader) (*Header, error) {
	signed, _, err := readHead(r)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(signed[len(magic)+4:])
	if err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	return h, nil
}

// Inspect is Peek for a bundle that is there as a whole: it fails with
// [ErrLength] unless the bundle is as long as its header says. It goes back to
// the beginning. head is how long the head is, and body all that is behind it.
func Inspect(bundle io.ReadSeeker) (h *Header, head, body int64, err error) {
	if _, err := bundle.Seek(0, io.SeekStart); err != nil {
		return nil, 0, 0, fmt.Errorf("read the bundle: %w", err)
	}
	if h, err = Peek(bundle); err != nil {
		return nil, 0, 0, err
	}
	if body = h.Root.Size; h.Boot != nil {
		body += h.Boot.Size
	}
	head, err = bundle.Seek(0, io.SeekCurrent)
	var has int64
	if err == nil {
		has, err = bundle.Seek(0, io.SeekEnd)
	}
	if err == nil {
		_, err = bundle.Seek(0, io.SeekStart)
	}
	switch want := head + body; {
	case err != nil:
		return nil, 0, 0, fmt.Errorf("read the bundle: %w", err)
	case has < want:
		return nil, 0, 0, fmt.Errorf("%w: it has %d of %d bytes; fetch or build it again", ErrLength, has, want)
	case has > want:
		return nil, 0, 0, fmt.Errorf("%w: it has %d bytes, %d of them behind its end; fetch or build it again", ErrLength, has, has-want)
	}
	return h, head, body, nil
}

// readHead splits a head in what is signed and the signature.
func readHead(r io.Reader) (signed, signature []byte, err error) {
	signed = make([]byte, len(magic)+4, len(magic)+4+MaxHeader+2+MaxSignature)
	if _, err := io.ReadFull(r, signed); err != nil {
		return nil, nil, tooShort(err)
	}
	if !bytes.HasPrefix(signed, []byte(magic)) {
		return nil, nil, ErrFormat
	}
	n := binary.BigEndian.Uint32(signed[len(magic):])
	if n > MaxHeader {
		return nil, nil, fmt.Errorf("%w: header of %d bytes, the limit is %d", ErrFormat, n, MaxHeader)
	}
	signed = signed[:len(signed)+int(n)]
	if _, err := io.ReadFull(r, signed[len(magic)+4:]); err != nil {
		return nil, nil, tooShort(err)
	}
	var m [2]byte
	if _, err := io.ReadFull(r, m[:]); err != nil {
		return nil, nil, tooShort(err)
	}
	size := binary.BigEndian.Uint16(m[:])
	if size > MaxSignature {
		return nil, nil, fmt.Errorf("%w: signature of %d bytes, the limit is %d", ErrFormat, size, MaxSignature)
	}
	signature = make([]byte, size)
	if _, err := io.ReadFull(r, signature); err != nil {
		return nil, nil, tooShort(err)
	}
	return signed, signature, nil
}

// tooShort is the error of a head that ends too early; one of the connection
// stays what it is.
func tooShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends within its head", ErrFormat)
	}
	return err
}

// CopyPart copies one part, in pieces, and fails with [ErrDigest] at the end if
// it was not the one that the header tells of: what was written must not be
// used then. It reads not a byte more than the part has.
func CopyPart(dst io.Writer, src io.Reader, p Part) error {
	hash := sha256.New()
	n, err := io.CopyBuffer(io.MultiWriter(dst, hash), onlyReader{io.LimitReader(src, p.Size)}, make([]byte, copyBuffer))
	if err != nil {
		return err
	}
	if n < p.Size {
		return fmt.Errorf("%w: it ends after %d of %d bytes", ErrDigest, n, p.Size)
	}
	if Digest(hash.Sum(nil)) != p.SHA256 {
		return ErrDigest
	}
	return nil
}

// onlyReader hides WriteTo, which would choose pieces of its own size.
type onlyReader struct{ io.Reader }

const copyBuffer = 128 << 10
