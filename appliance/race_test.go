//go:build linux && race

package main

func init() { raced = true }
