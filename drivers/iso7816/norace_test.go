//go:build !race

package iso7816_test

const raceEnabled = false
