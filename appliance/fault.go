//go:build !boottest

package main

// misbehave is for tests of the SD card.
func misbehave() {}

// otherMachine is for tests of the SD card: nil is this machine.
func otherMachine() *machine { return nil }
