//go:build !boottest

package main

// misbehave is for tests of the SD card.
func misbehave() {}
