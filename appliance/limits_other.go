//go:build !linux

package main

// machineResources are not known here: the usual limits hold.
func machineResources() resources { return resources{} }
