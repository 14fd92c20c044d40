// Package driverstest holds what tests of drivers and of their users share: a
// scripted test card ([Scripted]) that needs no hardware and can be made to
// fail, and one conformance body ([Conformance]) that holds every driver to
// the contract of package drivers.
package driverstest
