//go:build !gokrazy

package main

// defaultState is in the working directory.
const defaultState = "tses-state"
