package iso7816_test

import (
	"context"
	"fmt"
	"log"

	"github.com/cloud-of-se/tses/drivers/iso7816"
)

// A card in a Phoenix adapter behind a USB-serial converter, with a crystal of
// 3.579545 MHz.
func Example() {
	tty, err := iso7816.OpenTTY("/dev/ttyUSB0")
	if err != nil {
		log.Fatal(err)
	}
	card, err := iso7816.New(tty, iso7816.Phoenix(tty), iso7816.Phoenix357, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer card.Close()
	atr, err := card.PowerOn(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%X\n", atr)
}
