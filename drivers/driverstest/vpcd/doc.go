// Package vpcd gives tests a real PC/SC: a pcscd of their own with the virtual
// readers of vsmartcard's vpcd, and cards in them whose mind is a
// [drivers.SE], such as a scripted one.
//
// [Isolated] runs a test in a mount and a network namespace of its own, so that
// neither the pcscd of the host nor its readers are touched:
//
//	func TestReader(t *testing.T) {
//		if !vpcd.Isolated(t) {
//			return // it ran in another process
//		}
//		p := vpcd.Start(t, "A")
//		card := p.Insert("A0", driverstest.NewScripted(driverstest.Options{}))
//		...
//		card.Pull()
//	}
//
// What vpcd cannot do: it counts bytes in 16 bits, so that a command and an
// answer have at most 65,535 bytes with all that belongs to them; it waits for
// ever for a card that does not answer; and it takes a card that is pulled in a
// command for one that answers nothing.
package vpcd
