package stp

// For tests of the package from outside.
const (
	MostNoise    = mostNoise
	MostRefusals = mostRefusals
)
