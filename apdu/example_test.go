package apdu_test

import (
	"encoding/hex"
	"fmt"

	"github.com/cloud-of-se/tses/apdu"
)

func ExampleParse() {
	wire, _ := hex.DecodeString("00A4040008A00000015100000000") // a constant in hex digits
	cmd, err := apdu.Parse(wire)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cmd, "case", cmd.Case())
	fmt.Println(apdu.AID(cmd.Data))
	// Output:
	// 00 A4 04 00 Nc=8 Ne=256 case 4
	// A000000151000000
}

func ExampleCommand_Bytes() {
	read := apdu.Command{INS: apdu.INSReadBinary, Ne: 1000} // longer than a short Le can say
	b, err := read.Bytes()
	fmt.Printf("%X %v\n", b, err)
	// Output: 00B000000003E8 <nil>
}

func ExampleParseResponse() {
	resp, err := apdu.ParseResponse([]byte{0x6A, 0x82})
	if err != nil {
		fmt.Println(err)
		return
	}
	if resp.SW != apdu.SWSuccess {
		fmt.Println(resp.SW)
		fmt.Println("select:", resp.SW.Error())
	}
	// Output:
	// SW 6A82: file or application not found
	// select: SW 6A82: file or application not found
}

func ExampleFindTLV() {
	fci, _ := hex.DecodeString("6F108408A000000151000000A5049F6501FF") // a constant in hex digits
	name, ok := apdu.FindTLV(fci, 0x6F, 0x84)
	fmt.Printf("%X %v\n", name, ok)
	// Output: A000000151000000 true
}

func ExampleATR_Describe() {
	b, _ := hex.DecodeString("3BF8130000918131FE410073C840000090001E") // a constant in hex digits
	atr, err := apdu.ParseATR(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(atr.Describe())
	// Output:
	// ATR              3BF8130000918131FE410073C840000090001E
	// convention       direct
	// protocols        T=1, specific mode T=1
	// rate             Fi 372, Di 4 (93 clocks per etu), at most 5 MHz
	// guard time       0 etu extra
	// T=1              IFSC 254, CWI 1, BWI 4, LRC
	// historical       0073C84000009000
	//                  47: C84000
	// capabilities     selection by full name, by partial name, implicitly
	// life cycle       00
	// status           SW 9000: success
}

func ExampleNewATR() {
	can := apdu.CardCapabilities{
		Selection: apdu.SelectByFullName | apdu.SelectByPartialName,
		Features:  apdu.CommandChaining | apdu.ExtendedLength | apdu.ChannelNumberByCard | 3, // four logical channels
	}
	hist, err := apdu.Historical{Category: 0x80, Objects: []apdu.CompactTLV{can.TLV()}}.Bytes()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(apdu.NewATR(hist, 1))
	// Output: 3B85018073C000D364
}
