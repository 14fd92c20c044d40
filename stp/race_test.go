//go:build race

package stp_test

func init() { raced = true }
