package access

import (
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
)

func TestChainIDs(t *testing.T) {
	// Who signs is known by the key alone: the names are all the same.
	leaf := &x509.Certificate{SerialNumber: big.NewInt(0x0A), RawIssuer: []byte("CA"), RawSubject: []byte("bob"), RawSubjectPublicKeyInfo: []byte("1")}
	ca := &x509.Certificate{SerialNumber: big.NewInt(2), RawIssuer: []byte("CA"), RawSubject: []byte("CA"), RawSubjectPublicKeyInfo: []byte("2")}
	other := &x509.Certificate{SerialNumber: big.NewInt(2), RawIssuer: []byte("else"), RawSubject: []byte("CA"), RawSubjectPublicKeyInfo: []byte("3")}
	got := chainIDs([]*x509.Certificate{leaf, ca})
	if want := []ID{{KeyID(ca), "a"}, {KeyID(ca), "2"}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	got = chainIDs([]*x509.Certificate{leaf, other})
	if want := []ID{{KeyID(other), "a"}, {"", "2"}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := KeyID(leaf), "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"; got != want { // sha256sum of "1"
		t.Errorf("KeyID = %s, want %s", got, want)
	}
}
