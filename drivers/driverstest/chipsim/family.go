package chipsim

import "time"

// Wire is a kind of bus, as GPC_SPE_172 numbers them.
type Wire byte

const (
	SPI Wire = 1
	I2C Wire = 2
)

// A Family is what chips of one make have in common on the wire.
type Family struct {
	Name       string
	fromHost   byte // NAD
	toHost     byte
	lenSize    int  // 1 or 2 bytes
	longLen    bool // FF and 2 bytes for 255 and more
	check      check
	requests   map[byte]request // PCB of the S(request)
	hello      func(o *Options) []byte
	bare       bool // a whole APDU in a block with PCB C1
	noExtend   bool // it never asks for more time
	helloFirst bool // it speaks first, after power
	ifs        ifsRule
	i2cClock   int64 // of its I2C side; 0 where it has none of its own

	defaults Options // of the zero fields of the options
	before   limits  // what a host has to keep to on SPI until it was told
}

// request is what a chip does with an S(request) of its family, besides RESYNCH,
// IFS and ABORT, which all know.
type request uint8

const (
	says       request = 1 << iota // the response carries its parameters
	resets                         // at once
	resetsThen                     // after the response, with the time for a boot
	sleeps                         // nothing else
	sleepsDeep                     // after the response: until an access or the reset line
)

// ifsRule is what a chip does with S(IFS request).
type ifsRule uint8

const (
	ifsOneWay ifsRule = iota // it sends blocks of that size
	ifsFirst                 // likewise, and its maker's host sends it before all else
	ifsBoth                  // it takes them, too, and refuses what is above its most
)

// The families. PCBs are those of drivers' and chips' documents; dialects.go of
// the drivers' package t1 says whose code and papers they were held against.
var (
	GP = &Family{
		Name: "gp", fromHost: 0x21, toHost: 0x12, lenSize: 2, check: x25High,
		requests: map[byte]request{0xC4: says, 0xC6: sleeps, 0xCF: resetsThen},
		hello:    cip, i2cClock: 400e3,
		defaults: gpDefaults, before: gpBefore,
	}
	NXPGP = &Family{
		Name: "nxp-gp", fromHost: 0x5A, toHost: 0xA5, lenSize: 2, check: x25High,
		requests: map[byte]request{0xC4: says, 0xC6: sleeps, 0xCF: resetsThen, 0xDE: resetsThen, 0xDF: sleepsDeep},
		hello:    cip, i2cClock: 1e6,
		defaults: gpDefaults, before: gpBefore,
	}
	SE050 = &Family{
		Name: "um11225", fromHost: 0x5A, toHost: 0xA5, lenSize: 1, check: x25Low,
		requests: map[byte]request{0xC5: sleeps, 0xC6: resetsThen, 0xC7: says, 0xCF: says | resets, 0xDF: sleepsDeep},
		hello:    nxpATR,
		defaults: Options{
			Clock: 1e6, Guard: 100 * time.Microsecond, Poll: time.Millisecond, Boot: 5 * time.Millisecond,
			BWT: time.Second, IFSC: 254, MaxIFSD: 254, Historical: []byte("JCOP4 ATPO"),
		},
		before: limits{clock: 1e6, guard: 100 * time.Microsecond, poll: time.Millisecond},
	}
	NXPeSE = &Family{
		Name: "nxp-ese", fromHost: 0x5A, toHost: 0xA5, lenSize: 1, longLen: true, check: xorWithoutNAD,
		requests: map[byte]request{0xC4: says | resets, 0xC5: sleeps, 0xC6: resetsThen, 0xC7: says},
		hello:    eSEParameters, ifs: ifsBoth,
		defaults: Options{
			Clock: 1e6, Guard: 100 * time.Microsecond, Poll: time.Millisecond, Boot: 5 * time.Millisecond,
			BWT: 1624 * time.Millisecond, IFSC: 254, MaxIFSD: 254,
		},
		before: limits{clock: 1e6, guard: 100 * time.Microsecond, poll: time.Millisecond},
	}
	ST54 = &Family{
		Name: "st54", fromHost: 0x21, toHost: 0x12, lenSize: 1, check: x25Low,
		requests:   map[byte]request{0xCF: says | resets},
		hello:      atp,
		helloFirst: true, ifs: ifsFirst,
		defaults: Options{
			Clock: 8e6, Guard: 100 * time.Microsecond, Turn: time.Millisecond, Poll: time.Millisecond, Boot: 40 * time.Millisecond,
			BWT: 1680 * time.Millisecond, IFSC: 254, MaxIFSD: 254, Historical: []byte("ST54J"),
		},
		before: limits{clock: 1e6, guard: 100 * time.Microsecond, poll: time.Millisecond},
	}
	Thales = &Family{
		Name: "thales", fromHost: 0x12, toHost: 0x21, lenSize: 1, check: xorAll,
		requests: map[byte]request{0xC5: says | resets},
		hello:    isoATR,
		defaults: Options{
			Clock: 1e6, Guard: 100 * time.Microsecond, Poll: 2 * time.Millisecond, Boot: 5 * time.Millisecond,
			BWT: 300 * time.Millisecond, IFSC: 32, MaxIFSD: 254, Historical: []byte("eSE"),
		},
		before: limits{clock: 1e6, guard: 100 * time.Microsecond, poll: 2 * time.Millisecond},
	}
	IoSE = &Family{
		Name: "iose", fromHost: 0x5A, toHost: 0xA5, lenSize: 1, check: x25Low,
		requests: map[byte]request{0xCF: says | resets},
		hello:    func(o *Options) []byte { return o.Historical },
		bare:     true, noExtend: true,
		defaults: Options{
			Clock: 400e3, Guard: 50 * time.Microsecond, Poll: 100 * time.Microsecond, Boot: 200 * time.Millisecond,
			BWT: 5 * time.Second, IFSC: 255, MaxIFSD: 255, Historical: []byte("grid"),
		},
		before: limits{clock: 400e3, guard: 50 * time.Microsecond, poll: 100 * time.Microsecond},
	}
)

// gpDefaults are a GlobalPlatform chip's own values, gpBefore the standard's
// until the host knows them.
var (
	gpDefaults = Options{
		Clock: 10e6, Guard: 100 * time.Microsecond, Poll: 200 * time.Microsecond, MaxAccess: 4095, Boot: 10 * time.Millisecond,
		BWT: 500 * time.Millisecond, IFSC: 4089, MaxIFSD: 4089, Historical: []byte("T=1'"),
	}
	gpBefore = limits{clock: 1e6, guard: 200 * time.Microsecond, poll: time.Millisecond, access: 16}
)

// beforeI2C replaces them on I2C for the chips of GPC_SPE_172.
var beforeI2C = limits{clock: 400e3, guard: 10 * time.Microsecond, poll: time.Millisecond}

// limits are what a host has to keep to.
type limits struct {
	clock  int64
	guard  time.Duration
	turn   time.Duration
	back   time.Duration
	poll   time.Duration
	access int // bytes, 0 for any number
}
