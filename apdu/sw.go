package apdu

import "fmt"

// SW is a status word, SW1 in the high and SW2 in the low byte (ISO/IEC
// 7816-4, 5.6). It is an error, so that code which finds one it cannot go on
// with returns it as it is; [SWSuccess] must not be returned as an error.
type SW uint16

// Status words of ISO/IEC 7816-4, 5.6, and GlobalPlatform Card Specification
// 2.3.1, 11.1.3.
const (
	SWSuccess                SW = 0x9000
	SWSelectedInvalidated    SW = 0x6283
	SWMoreData               SW = 0x6310 // GlobalPlatform GET STATUS
	SWVerifyFailed           SW = 0x6300 // 63CX with X tries left
	SWExecutionError         SW = 0x6400
	SWMemoryFailure          SW = 0x6581
	SWWrongLength            SW = 0x6700
	SWLogicalChannel         SW = 0x6881
	SWSecureMessaging        SW = 0x6882
	SWLastCommandExpected    SW = 0x6883
	SWChainingNotSupported   SW = 0x6884
	SWSecurityStatus         SW = 0x6982
	SWAuthMethodBlocked      SW = 0x6983
	SWReferenceDataUnusable  SW = 0x6984
	SWConditionsNotSatisfied SW = 0x6985
	SWCommandNotAllowed      SW = 0x6986
	SWSecureMessagingMissing SW = 0x6987
	SWSecureMessagingWrong   SW = 0x6988
	SWWrongData              SW = 0x6A80
	SWFunctionNotSupported   SW = 0x6A81
	SWFileNotFound           SW = 0x6A82
	SWRecordNotFound         SW = 0x6A83
	SWNotEnoughMemory        SW = 0x6A84
	SWIncorrectP1P2          SW = 0x6A86
	SWReferencedDataNotFound SW = 0x6A88
	SWFileExists             SW = 0x6A89
	SWWrongP1P2              SW = 0x6B00
	SWInstruction            SW = 0x6D00
	SWClass                  SW = 0x6E00
	SWUnknown                SW = 0x6F00
)

var swNames = map[SW]string{
	SWSuccess:                "success",
	SWSelectedInvalidated:    "selected application is locked or invalidated",
	0x6200:                   "warning, nothing changed",
	0x6281:                   "part of the data may be corrupted",
	0x6282:                   "end of file before Le bytes",
	0x6285:                   "selected file is terminated",
	SWMoreData:               "more data available",
	SWVerifyFailed:           "verification failed",
	0x6381:                   "file filled up by the last write",
	SWExecutionError:         "execution error, nothing changed",
	0x6500:                   "execution error, memory changed",
	SWMemoryFailure:          "memory failure",
	0x6600:                   "security-related issue",
	SWWrongLength:            "wrong length",
	0x6800:                   "function in CLA not supported",
	SWLogicalChannel:         "logical channel not supported or not open",
	SWSecureMessaging:        "secure messaging not supported",
	SWLastCommandExpected:    "last command of the chain expected",
	SWChainingNotSupported:   "command chaining not supported",
	0x6900:                   "command not allowed",
	0x6981:                   "command incompatible with file structure",
	SWSecurityStatus:         "security status not satisfied",
	SWAuthMethodBlocked:      "authentication method blocked",
	SWReferenceDataUnusable:  "reference data not usable",
	SWConditionsNotSatisfied: "conditions of use not satisfied",
	SWCommandNotAllowed:      "command not allowed, no current file",
	SWSecureMessagingMissing: "secure messaging data objects missing",
	SWSecureMessagingWrong:   "secure messaging data objects incorrect",
	0x6A00:                   "wrong parameters",
	SWWrongData:              "incorrect data field",
	SWFunctionNotSupported:   "function not supported",
	SWFileNotFound:           "file or application not found",
	SWRecordNotFound:         "record not found",
	SWNotEnoughMemory:        "not enough memory",
	0x6A85:                   "Nc inconsistent with TLV structure",
	SWIncorrectP1P2:          "incorrect P1 P2",
	0x6A87:                   "Nc inconsistent with P1 P2",
	SWReferencedDataNotFound: "referenced data not found",
	SWFileExists:             "file already exists",
	0x6A8A:                   "DF name already exists",
	SWWrongP1P2:              "wrong P1 P2",
	SWInstruction:            "instruction not supported",
	SWClass:                  "class not supported",
	SWUnknown:                "no precise diagnosis",
}

// SW1 is the first byte.
func (s SW) SW1() byte { return byte(s >> 8) }

// SW2 is the second byte.
func (s SW) SW2() byte { return byte(s) }

// Done tells whether the command was processed: 9000, 61XX and the warnings
// 62XX and 63XX (ISO/IEC 7816-4, 5.6), and the 91XX, 92XX and 9FXX with which SIMs
// say the same (ETSI TS 102 221, 10.2).
func (s SW) Done() bool {
	switch s.SW1() {
	case 0x61, 0x62, 0x63, 0x91, 0x92, 0x9F:
		return true
	}
	return s == SWSuccess
}

// Name says in words what the status word means, empty if it has no name here.
func (s SW) Name() string {
	switch {
	case s.SW1() == 0x61:
		return fmt.Sprintf("%d bytes more by GET RESPONSE", shortNe(s.SW2()))
	case s.SW1() == 0x9F:
		return fmt.Sprintf("success, %d bytes by GET RESPONSE", shortNe(s.SW2()))
	case s.SW1() == 0x91:
		return fmt.Sprintf("success, the SIM has a command of %d bytes", shortNe(s.SW2()))
	case s.SW1() == 0x6C:
		return fmt.Sprintf("wrong Le, %d bytes are there", shortNe(s.SW2()))
	case s&0xFFF0 == 0x63C0:
		return fmt.Sprintf("verification failed, %d tries left", s&0x0F)
	}
	if name, ok := swNames[s]; ok {
		return name
	}
	switch s.SW1() {
	case 0x90, 0x6F: // only 9000 and 6F00 are defined
		return ""
	case 0x63:
		return "warning, memory changed"
	}
	return swNames[s&0xFF00]
}

// String is the four hex digits, "6A82".
func (s SW) String() string { return fmt.Sprintf("%04X", uint16(s)) }

// Error is the digits and the name: "SW 6A82: file or application not found".
func (s SW) Error() string {
	if name := s.Name(); name != "" {
		return "SW " + s.String() + ": " + name
	}
	return "SW " + s.String()
}
