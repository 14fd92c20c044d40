package gp

// Privileges are three bytes (GlobalPlatform Card Specification 2.3.1, tables
// 11-7 to 11-9).
type Privileges [3]byte

// Privileges that mean something here.
const (
	privDomain     = 0x80 // first byte: Security Domain
	privLock       = 0x10 // Card Lock
	privTerminate  = 0x08 // Card Terminate
	privDefault    = 0x04 // Card Reset: the default selected application
	privAuthorized = 0x40 // second byte: Authorized Management
	privDelete     = 0x10 // Global Delete
	privGlobalLock = 0x08 // Global Lock
	privRegistry   = 0x04 // Global Registry
	privFinal      = 0x02 // Final Application
)

// issuerPrivileges are those of the issuer security domain.
var issuerPrivileges = Privileges{
	privDomain | privLock | privTerminate | privDefault,
	privAuthorized | privDelete | privGlobalLock | privRegistry | privFinal,
}

// allowed are the privileges that INSTALL can give.
func allowed(domain bool) Privileges {
	if domain {
		return Privileges{privDomain | privDefault, privAuthorized}
	}
	return Privileges{privDefault}
}

// within tells whether p has nothing that q does not have.
func (p Privileges) within(q Privileges) bool {
	return p[0]&^q[0]|p[1]&^q[1]|p[2]&^q[2] == 0
}

func (p Privileges) domain() bool     { return p[0]&privDomain != 0 }
func (p Privileges) selected() bool   { return p[0]&privDefault != 0 }
func (p Privileges) authorized() bool { return p[1]&privAuthorized != 0 }
