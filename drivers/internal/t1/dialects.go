package t1

import "time"

// The dialects. Each says whose code or paper it was held against: "run" is a
// maker's own host program that spoke to the simulator of package chipsim,
// "read" its sources, "captured" bytes of a real chip. What is "believed" was
// seen nowhere. The text of GPC_SPE_172 itself was not at hand.
//
// S(SWR) of GPC_SPE_172 is a reset of the secure element. What the makers' own
// resets leave is written nowhere that is public: NXP calls them resets of the
// interface, and the others are taken for no more.
var (
	// GlobalPlatform is T=1' of GPC_SPE_172 v1.0, for SPI and I2C: Infineon
	// OPTIGA Authenticate NBT.
	//
	// Read: Infineon's optiga-nbt-lib-c 1.1.2 (framing, CIP, defaults, times);
	// Thales's libse-gto, whose later versions speak it, too (LEN of 2 bytes,
	// X-25 with the high byte first, S(SWR), S(CIP), then S(IFS) of 254).
	// Believed: SEGT and WUT in microseconds, as NXP's papers have them.
	GlobalPlatform = Dialect{
		Name:   "gp",
		ToChip: 0x21, FromChip: 0x12, Len: Len16, EDC: CRCHigh, MaxINF: 4089,
		IFSC: 8, IFSD: 8, BWT: 300 * time.Millisecond,
		Hello: HelloCIP, HelloS: SCIP, SoftReset: SSWR, End: SRelease, Clears: true,
	}

	// NXPGlobalPlatform is the same with NXP's addresses: SE052F, SE051 with
	// GlobalPlatform firmware.
	//
	// Read: NXP's plug-and-trust, compiled for T1oI2C_GP1_0 (NAD, LEN of 2
	// bytes, S(CIP), S(SWR), S(RELEASE), S(1E) for a cold reset; a real chip's
	// CIP has version 00). S(1F), the deep power down of SE052, is known from
	// its change log alone: that a response comes before it is believed. Other
	// firmware of SE051 has the addresses of GlobalPlatform, S(SWR) first and a
	// one-byte S(IFS) (seccid, read): that is "gp".
	NXPGlobalPlatform = Dialect{
		Name:   "nxp-gp",
		ToChip: 0x5A, FromChip: 0xA5, Len: Len16, EDC: CRCHigh, MaxINF: 4089,
		IFSC: 8, IFSD: 8, BWT: 300 * time.Millisecond,
		Hello: HelloCIP, HelloS: SCIP, SoftReset: SSWR, End: SRelease, Clears: true,
	}

	// UM11225 is NXP's T=1 over I2C: SE050, SE051, A5000.
	//
	// Captured: the response to S(interface soft reset) of an SE050, which
	// proves framing, checksum and ATR. Read: UM11225 and NXP's plug-and-trust,
	// compiled for T1oI2C_UM11225 (S(5), S(6), S(7), S(F)).
	UM11225 = Dialect{
		Name:   "um11225",
		ToChip: 0x5A, FromChip: 0xA5, Len: Len8, EDC: CRCLow, MaxINF: 254,
		IFSC: 254, IFSD: 254, BWT: time.Second,
		Hello: HelloNXP, HelloS: sSoftReset, SoftReset: sSoftReset, End: sEndOfSession,
	}

	// NXPeSE is what NXP's embedded secure elements speak on SPI: PN80T,
	// SN100, SN110, SN220. Their LRC leaves the NAD out.
	//
	// Read: NXP's HAL for Android, pn8x and snxxx (LRC over a NAD of 00, LEN of
	// FF and two bytes, parameters of S(C4), timers of older firmware, S(IFS)
	// that is obeyed in both directions). Believed: an eSE that asks for a CRC
	// means UM11225's, since NXP's own host knows the LRC alone.
	NXPeSE = Dialect{
		Name:   "nxp-ese",
		ToChip: 0x5A, FromChip: 0xA5, Len: Len8or16, EDC: LRCWithoutNAD, MaxINF: 4089,
		IFSC: 254, IFSD: 254, IFS: IFSBoth, BWT: 1624 * time.Millisecond,
		Hello: HelloeSE, HelloS: sInterfaceReset, SoftReset: sInterfaceReset, End: sEndOfSession,
	}

	// ST54 is ST's embedded secure elements on SPI: ST54J, K, L. The ATP says
	// whether blocks have an LRC or a CRC.
	//
	// Run: ST's HAL for Android (the ATP's layout and checksum, S(IFS request)
	// with the ATP's IFSC right after it, X-25 with the low byte first). Read
	// there: S(SWR), whose response carries an ATP. Believed: blocks with an
	// LRC, for which ST's host has no code.
	ST54 = Dialect{
		Name:   "st54",
		ToChip: 0x21, FromChip: 0x12, Len: Len8, EDC: CRCLow, MaxINF: 254,
		IFSC: 254, IFSD: 254, IFS: IFSAlways, BWT: 0x0690 * time.Millisecond,
		Hello: HelloATP, HelloS: SSWR, SoftReset: SSWR, End: NoS,
	}

	// Thales is the embedded secure elements of Thales (Gemalto) on SPI.
	//
	// Read: libse-gto up to 1.10 (S(5) as the reset, an ATR that begins with
	// T0 and from which the IFSC is taken if its TCK is right, LRC, S(IFS) of
	// 254, polls of one byte each 2 ms). Its CRC has no final inversion; no
	// public program chooses it. Later versions speak "gp".
	Thales = Dialect{
		Name:   "thales",
		ToChip: 0x12, FromChip: 0x21, Len: Len8, EDC: LRC, MaxINF: 254,
		IFSC: 32, IFSD: 32, BWT: 300 * time.Millisecond,
		Hello: HelloISO, HelloS: sThalesReset, SoftReset: sThalesReset, End: NoS,
	}

	// IoSE is the framing of the I2C grid boards: a whole APDU in a block of
	// its own type, no numbers, no chaining.
	//
	// Read: i2cmod.c of the author's IoSE, which is the other side of it. No
	// board was at hand.
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
//
// Read: pcsc-lite's CCID driver and OsEID for the LRC and that CRC, of which
// 00C101FE ends in 544E. There is no consensus: Windows sends ECD1, that is
// CRC-16/ARC. None of 3,803 public answers to reset asks for a CRC.
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
