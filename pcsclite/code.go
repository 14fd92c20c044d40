package pcsclite

import "fmt"

// Code is a result of PC/SC (PC/SC part 5, 3.1.4). As an error it is the
// answer of a resource manager; a [Card] returns one, or wraps one, to choose
// what the program is told.
type Code uint32

// The codes that either side uses. The names are SCARD_… of PC/SC without the
// prefix and the underscores.
const (
	Success            Code = 0
	FInternalError     Code = 0x80100001
	ECancelled         Code = 0x80100002
	EInvalidHandle     Code = 0x80100003
	EInvalidParameter  Code = 0x80100004
	ENoMemory          Code = 0x80100006
	EInsufficientBuf   Code = 0x80100008
	EUnknownReader     Code = 0x80100009
	ETimeout           Code = 0x8010000A
	ESharingViolation  Code = 0x8010000B
	ENoSmartcard       Code = 0x8010000C
	EProtoMismatch     Code = 0x8010000F
	ENotReady          Code = 0x80100010
	EInvalidValue      Code = 0x80100011
	FCommError         Code = 0x80100013
	FUnknownError      Code = 0x80100014
	EInvalidATR        Code = 0x80100015
	ENotTransacted     Code = 0x80100016
	EReaderUnavailable Code = 0x80100017
	PShutdown          Code = 0x80100018
	EDuplicateReader   Code = 0x8010001B
	ECardUnsupported   Code = 0x8010001C
	ENoService         Code = 0x8010001D
	EServiceStopped    Code = 0x8010001E
	EUnsupported       Code = 0x8010001F
	ENoReaders         Code = 0x8010002E
	WUnsupportedCard   Code = 0x80100065
	WUnresponsiveCard  Code = 0x80100066
	WUnpoweredCard     Code = 0x80100067
	WResetCard         Code = 0x80100068
	WRemovedCard       Code = 0x80100069
	WSecurityViolation Code = 0x8010006A
)

var codeTexts = map[Code]string{
	Success:            "success",
	FInternalError:     "internal error",
	ECancelled:         "cancelled",
	EInvalidHandle:     "invalid handle",
	EInvalidParameter:  "invalid parameter",
	ENoMemory:          "no room for more",
	EInsufficientBuf:   "the buffer is too small",
	EUnknownReader:     "unknown reader",
	ETimeout:           "timeout",
	ESharingViolation:  "sharing violation: another program has the card",
	ENoSmartcard:       "no card in the reader",
	EProtoMismatch:     "protocol mismatch",
	ENotReady:          "reader or card not ready",
	EInvalidValue:      "invalid value",
	FCommError:         "communication error",
	FUnknownError:      "unknown error",
	EInvalidATR:        "an answer to reset that cannot be read",
	ENotTransacted:     "not transacted",
	EReaderUnavailable: "the reader is not available",
	PShutdown:          "the resource manager is shutting down",
	EDuplicateReader:   "there is a reader of this name",
	ECardUnsupported:   "the card does not meet what is needed",
	ENoService:         "the resource manager is not running",
	EServiceStopped:    "the resource manager has stopped, or speaks another version",
	EUnsupported:       "feature not supported",
	ENoReaders:         "no readers available",
	WUnsupportedCard:   "the card's answer to reset does not fit the reader",
	WUnresponsiveCard:  "the card does not answer",
	WUnpoweredCard:     "the card is not powered",
	WResetCard:         "the card was reset",
	WRemovedCard:       "the card was removed",
	WSecurityViolation: "security violation",
}

// Error says the code in words and in hexadecimal.
func (c Code) Error() string {
	if text, ok := codeTexts[c]; ok {
		return fmt.Sprintf("%s (%08X)", text, uint32(c))
	}
	return fmt.Sprintf("PC/SC code %08X", uint32(c))
}
