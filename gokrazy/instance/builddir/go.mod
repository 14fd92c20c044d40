// What the SD card has besides the programs of this project: the kernel with
// its device trees, and the firmware that the boot ROM of a Raspberry Pi starts.
// The builder adds what the project itself requires.
module gokrazy/build/tses

go 1.26.0

require (
	github.com/cloud-of-se/tses v0.0.0
	github.com/gokrazy/firmware v0.0.0-20260522070551-527ce0ed43cf
	github.com/gokrazy/kernel.rpi v0.0.0-20251127164438-9778ec0261de
)

replace github.com/cloud-of-se/tses => ../../..
