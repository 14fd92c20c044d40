// Package softse is the software secure element: a card in a program, which
// implements [drivers.SE] and which terminals take for a chip.
package softse
