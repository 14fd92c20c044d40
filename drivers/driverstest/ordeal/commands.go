package ordeal

import (
	"os"
	"strconv"
	"testing"

	"github.com/cloud-of-se/tses/internal/needs"
)

// How many commands an ordeal has for one driver, all its dialects together.
const (
	full  = 100_000
	quick = 30_000
	race  = 10_000 // under the race detector, which is some ten times slower
	short = 2_000
)

// Commands is the number of commands for one driver, for some seconds of work.
// TSES_TEST_ALL=full asks for all of them, -short for few.
func Commands() int {
	switch {
	case needs.Full():
		return full
	case needs.All():
		return quick
	case testing.Short():
		return short
	case raceDetector:
		return race
	}
	return quick
}

// Seed is where the dice begin: always the same, so that a failure can be seen
// again, unless TSES_TEST_SEED is a number.
func Seed() uint64 {
	n, err := strconv.ParseUint(os.Getenv("TSES_TEST_SEED"), 10, 64)
	if err != nil {
		return 1
	}
	return n
}
