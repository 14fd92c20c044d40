package t1

import "time"

// The dialects. Sources: GPC_SPE_172 v1.0; NXP UM11225 and NXP's open host
// libraries; ST's and Thales's open Android drivers; the I2C grid boards of
// the author of draft-urien-cfrg-cose.
var (
	// GlobalPlatform is T=1' of GPC_SPE_172 v1.0, for SPI and I2C: Infineon
	// OPTIGA Authenticate NBT.
	GlobalPlatform = Dialect{
		Name:   "gp",
		ToChip: 0x21, FromChip: 0x12, Len: Len16, EDC: CRCHigh, MaxINF: 4089,
		IFSC: 8, IFSD: 8, BWT: 300 * time.Millisecond,
		Hello: HelloCIP, HelloS: SCIP, SoftReset: SSWR, End: SRelease,
	}

	// NXPGlobalPlatform is the same with NXP's addresses: SE052F, SE051 with
	// GlobalPlatform firmware.
	NXPGlobalPlatform = Dialect{
		Name:   "nxp-gp",
		ToChip: 0x5A, FromChip: 0xA5, Len: Len16, EDC: CRCHigh, MaxINF: 4089,
		IFSC: 8, IFSD: 8, BWT: 300 * time.Millisecond,
		Hello: HelloCIP, HelloS: SCIP, SoftReset: SSWR, End: SRelease,
	}

	// UM11225 is NXP's T=1 over I2C: SE050, SE051, A5000.
	UM11225 = Dialect{
		Name:   "um11225",
		ToChip: 0x5A, FromChip: 0xA5, Len: Len8, EDC: CRCLow, MaxINF: 254,
		IFSC: 254, IFSD: 254, BWT: time.Second,
		Hello: HelloNXP, HelloS: sSoftReset, SoftReset: sSoftReset, End: sEndOfSession,
	}

	// NXPeSE is what NXP's embedded secure elements speak on SPI: PN80T,
	// SN100, SN110, SN220. Their LRC leaves the NAD out.
	NXPeSE = Dialect{
		Name:   "nxp-ese",
		ToChip: 0x5A, FromChip: 0xA5, Len: Len8or16, EDC: LRCWithoutNAD, MaxINF: 4089,
		IFSC: 254, IFSD: 4089, BWT: 1624 * time.Millisecond,
		Hello: HelloBytes, HelloS: sInterfaceReset, SoftReset: sInterfaceReset, End: sEndOfSession,
	}

	// ST54 is ST's embedded secure elements on SPI: ST54J, K, L. The ATP says
	// whether blocks have an LRC or a CRC.
	ST54 = Dialect{
		Name:   "st54",
		ToChip: 0x21, FromChip: 0x12, Len: Len8, EDC: CRCLow, MaxINF: 254,
		IFSC: 254, IFSD: 254, BWT: 0x0690 * time.Millisecond,
		Hello: HelloATP, HelloS: NoS, SoftReset: NoS, End: NoS,
	}

	// Thales is the embedded secure elements of Thales (Gemalto) on SPI.
	Thales = Dialect{
		Name:   "thales",
		ToChip: 0x12, FromChip: 0x21, Len: Len8, EDC: LRC, MaxINF: 254,
		IFSC: 32, IFSD: 32, BWT: 300 * time.Millisecond,
		Hello: HelloISO, HelloS: sThalesReset, SoftReset: sThalesReset, End: NoS,
	}

	// IoSE is the framing of the I2C grid boards: a whole APDU in a block of
	// its own type, no numbers, no chaining.
	IoSE = Dialect{
		Name:   "iose",
		ToChip: 0x5A, FromChip: 0xA5, Len: Len8, EDC: CRCLow, MaxINF: 255,
		IFSC: 255, IFSD: 255, BWT: 5 * time.Second,
		Hello: HelloBytes, HelloS: sSoftReset, SoftReset: sSoftReset, End: NoS,
		Bare: sBareAPDU,
	}
)

// ISO7816 is T=1 of cards on a UART (ISO/IEC 7816-3, clause 11). The answer to
// reset tells whether blocks have a CRC, the IFSC and the waiting times. The CRC
// is taken as the open host programs take it: not inverted, the high byte first.
func ISO7816(crc bool) Dialect {
	d := Dialect{
		Name: "t1", Len: Len8, EDC: LRC, MaxINF: 254, IFSC: 32, IFSD: 32,
		BWT:    1600 * time.Millisecond,
		HelloS: NoS, SoftReset: NoS, End: NoS,
	}
	if crc {
		d.EDC = CRCPlain
	}
	return d
}
