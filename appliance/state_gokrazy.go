//go:build gokrazy

package main

// defaultState is on the only file system of the SD card that can be written.
const defaultState = "/perm/tses"
