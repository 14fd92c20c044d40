// Package applet is the contract between the software SE's operating system
// and the applications that it runs, as a Java Card's is between runtime and
// applet. An application is one folder: it has a [Package] that names its
// modules, and a type behind [Application].
//
// What lasts and what does not are kept apart. An Application is an installed
// instance with its persistent state; it lives as long as it is installed. A
// [Selection] is made for each selection on a logical channel and holds what
// must not outlive it: verified PINs, half-done exchanges, input buffers.
package applet

import (
	"io"

	"github.com/cloud-of-se/tses/apdu"
)

// A Package is an executable load file that is built in (GlobalPlatform Card
// Specification 2.3.1, 9.1).
type Package struct {
	AID          apdu.AID
	Major, Minor byte // version of the load file
	Modules      []Module
}

// A Module is what instances are made of (GlobalPlatform Card Specification
// 2.3.1, 9.1.1).
type Module struct {
	AID apdu.AID

	// InstanceAID, where it is set, is the AID of the instance that a fresh card
	// has of the module; without it that is the module's AID.
	InstanceAID func(card Card) apdu.AID

	// Install makes a new instance with the application-specific parameters
	// (the value of tag C9) of INSTALL [for install]; an [apdu.SW] as error
	// is the answer to that command. It must not call [Card.Commit]: the
	// installation as a whole is committed when it is complete. params is to be
	// read during the call only.
	Install func(card Card, instance apdu.AID, params []byte) (Application, error)

	// Load makes the instance again from what its Save wrote. The state is
	// the instance's, no one else holds these bytes.
	Load func(card Card, instance apdu.AID, state []byte) (Application, error)
}

// Application is one installed instance. The operating system makes one call
// at a time into a card, its selections included.
type Application interface {
	// Select is called when SELECT by AID, or the opening of a channel,
	// chooses the instance. It returns the state of this selection and the
	// response data (the FCI). An [apdu.SW] as error refuses the selection, or
	// where a selection comes with it, goes out as a warning about it.
	Select() (s Selection, fci []byte, err error)

	// Save is the persistent state, secrets in clear: the operating system
	// seals it before it leaves the process. The bytes are wiped after use
	// and must not be shared with the instance.
	Save() ([]byte, error)
}

// Selection is an instance as it is selected on one logical channel.
type Selection interface {
	// Process executes one command. The operating system has joined command
	// chains (the chaining bit is cleared), removed the channel number from
	// CLA and unwrapped the secure messaging that it ended itself; SELECT by
	// AID and MANAGE CHANNEL never come here. The data of the response may
	// be longer than Ne: the operating system cuts it for GET RESPONSE.
	// c.Data is the selection's to read during the call only.
	Process(c apdu.Command) apdu.Response

	// Close ends the selection (another SELECT, channel closed, reset, power
	// off) and wipes what it holds.
	Close()
}

// Card is what the operating system offers to an instance.
type Card interface {
	// Rand is a cryptographically secure source.
	Rand() io.Reader

	// Serial is the card's serial number, 4 bytes, unlike those of other cards,
	// the same for the life of the card.
	Serial() [4]byte

	// Commit writes the state of the whole card, so that it survives a power
	// cut from here on. An instance calls it after a change and before the
	// answer that tells of it; for a retry counter, before the comparison
	// that the counter guards. On an error the change did not happen for
	// good, and the instance must undo it and answer SW 6581.
	Commit() error
}

// SecureMessenger is a [Selection] that ends secure messaging itself. To one
// that is not, a command with secure messaging never comes: it is answered
// 6882.
type SecureMessenger interface {
	Selection

	// SecureMessaging only marks the type.
	SecureMessaging()
}

// Reselecter is a [Selection] that goes on when SELECT chooses its instance
// again on its logical channel, with the security status that it has, where
// others are closed and made anew.
type Reselecter interface {
	Selection

	// Reselect returns the response data (the FCI), as Application.Select does.
	Reselect() (fci []byte, err error)
}

// Personalizer is an [Application] that takes data from its security domain
// after INSTALL [for personalization] (GlobalPlatform Card Specification
// 2.3.1, 7.3.2).
type Personalizer interface {
	Application

	// Personalize takes one STORE DATA command, unwrapped, whose P1 tells by
	// bit 8 whether it is the last and whose P2 is the number of the block.
	// The operating system commits after one that is answered 9000. Where
	// that fails the instance is made again from its last saved state.
	Personalize(c apdu.Command) apdu.Response
}

// Wiper is an [Application] with secrets in memory that it can forget.
type Wiper interface {
	Application

	// Wipe forgets them. It is called once, when the instance has been
	// deleted or the card closed; nothing is called after it.
	Wipe()
}
