package racs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/cloud-of-se/tses/stp/racs"
)

// Connect with the files that a TSES makes, power an SE on and select its
// issuer security domain.
func ExampleDial() {
	cas, err := racs.LoadCA("tses-state/ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	credential, err := racs.LoadCredential("tses-state/credentials/user.pem")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, err := racs.Dial(ctx, "127.0.0.1:7777", racs.ClientConfig(cas, credential, ""), racs.Options{})
	if errors.Is(err, racs.ErrNotLetIn) {
		log.Fatal("the credential is no good here: ", err)
	}
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := client.PowerOn(ctx, "soft1"); err != nil {
		log.Fatal(err)
	}
	answer, err := client.Transmit(ctx, "soft1", []byte{0x00, 0xA4, 0x04, 0x00, 0x00})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%X\n", answer)
}

// One request can power an SE on, send it commands and go on only while they
// succeed.
func ExampleRequest() {
	getChallenge := []byte{0x00, 0x84, 0x00, 0x00, 0x08}
	request := racs.NewRequest("r1").
		PowerOn("soft1").
		APDU("soft1", []byte{0x00, 0xA4, 0x04, 0x00, 0x00}, racs.APDUOptions{Continue: 0x9000, More: 0x61}).Keep().
		APDU("soft1", getChallenge, racs.APDUOptions{})
	fmt.Print(strings.ReplaceAll(string(request.Bytes()), "\r\n", "\n"))
	// Output:
	// BEGIN r1
	// POWERON soft1
	// APDU soft1 00A4040000 CONTINUE=9000 MORE=61 APPEND
	// APDU soft1 0084000008
	// END
}

// What the server has against a command is a Status.
func ExampleStatus() {
	refused, err := racs.ParseStatus([]byte("-708 001 soft1 is in use"))
	if err != nil {
		log.Fatal(err)
	}
	err = fmt.Errorf("power on soft1: %w", refused) // as the client returns it
	if status, ok := errors.AsType[racs.Status](err); ok && status.Class == racs.InUse {
		fmt.Println("try again later:", status.Text)
	}
	// Output: try again later: soft1 is in use
}
