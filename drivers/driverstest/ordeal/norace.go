//go:build !race

package ordeal

const raceDetector = false
