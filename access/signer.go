package access

import "crypto"

// Signer signs what an owner tells their boxes besides certificates, such as
// updates. What is signed has to begin as no certificate does, so that one can
// never be taken for the other; X.509 begins with 0x30. It is nil where the key is
// elsewhere.
func (a *Authority) Signer() crypto.Signer { return a.key }
