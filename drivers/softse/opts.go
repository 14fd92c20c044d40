package softse

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/gp"
)

// Opts says what card [New] makes.
type Opts struct {
	// Name is the place, as in the "soft1" of "softse(soft1)".
	Name string

	// Store keeps the card's state. Nil keeps it in memory alone, for the
	// life of the [Card].
	Store Store

	// Report, where it is set, is told that Store failed to save, which the
	// terminal learns as 6581 only. It is called inside of the card's calls.
	Report func(err error)

	// Packages are the load files that are built in, besides the one of
	// security domains, which is always there.
	Packages []applet.Package

	// Preinstalled are the instances that a fresh card has. Nil means one of
	// every module in Packages, under the AID that the module says; empty means
	// none.
	Preinstalled []Instance

	// Rand is a cryptographically secure source; nil is crypto/rand.
	Rand io.Reader

	// T0 asks for the behaviour of a card that speaks T=0: response data
	// wait for GET RESPONSE (61XX), a wrong Le is answered with 6CXX, and
	// there are no extended APDUs.
	T0 bool
}

// Instance is an application to be made when a fresh card is.
type Instance struct {
	Package, Module, AID apdu.AID
	Params               []byte // application-specific parameters, the value of tag C9
}

// Store keeps one opaque state, at most [MaxState] bytes, with secrets in
// clear: an implementation seals it.
type Store interface {
	// Load returns the state that was saved last, and an error that matches
	// [io/fs.ErrNotExist] where there was none. The slice becomes the card's.
	Load() ([]byte, error)

	// Save replaces the state as a whole. When it returns nil, the state
	// survives a loss of power. The slice is the card's and wiped after the
	// call.
	Save(state []byte) error
}

// MaxState bounds the state of a card in bytes.
const MaxState = gp.MaxState

// DefaultOpts is a card called "soft1" in memory, without applications.
func DefaultOpts() Opts { return Opts{Name: "soft1", Rand: rand.Reader} }

func (o Opts) check() error {
	if o.Name == "" {
		return errors.New("software SE: Opts.Name is empty, give it a name such as soft1")
	}
	seen := map[apdu.AID]bool{gp.DomainPackage: true}
	for i, p := range o.Packages {
		if len(p.AID) < 5 || len(p.AID) > 16 || seen[p.AID] {
			return fmt.Errorf("software SE %s: Opts.Packages[%d]: AID %s is not of 5 to 16 bytes, or another package's", o.Name, i, p.AID)
		}
		seen[p.AID] = true
	}
	return nil
}
