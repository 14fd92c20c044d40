//go:build linux && !boottest

package main

// hang is for tests.
func hang() {}
