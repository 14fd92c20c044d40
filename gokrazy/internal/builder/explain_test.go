package builder

import (
	"strings"
	"testing"
)

// The lines that are copied into a terminal have what belongs to this box.
func TestExplain(t *testing.T) {
	b, err := prepared(t, "listen = \"0.0.0.0:7000\"\n[[element]]\nseid = \"sim1\"\ndriver = \"softse\"\n", "")
	if err != nil {
		t.Fatal(err)
	}
	b.result.Output, b.result.Update, b.result.SHA256 = "card.img", "card.update", "5a5a"
	var said strings.Builder
	b.result.Explain(&said)
	for _, want := range []string{
		"owner is new", "SHA-256  5a5a\n", "of=/dev/sdX", "of=/dev/rdiskN", "Raspberry Pi Imager",
		"export RACS_SERVER=tses-0001.local:7000 RACS_CA=" + b.result.Owner.CA() + " RACS_CRED=" + b.result.Owner.Admin() + "\n",
		"racs apdu sim1 00A4", "-name tses-0001.local", "racs update card.update\n",
		"Raspberry Pi with a network cable,",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, said.String())
		}
	}
	if strings.Contains(said.String(), "%!") {
		t.Errorf("it is not formatted:\n%s", said.String())
	}
	b.result.Wifi = "lab"
	said.Reset()
	b.result.Explain(&said)
	if want := `Raspberry Pi where the Wi-Fi network "lab" is heard,`; !strings.Contains(said.String(), want) {
		t.Errorf("it does not say %q:\n%s", want, said.String())
	}
}

// Whoever has chips on pins is told which.
func TestExplainPins(t *testing.T) {
	b, err := prepared(t, chipOnBus, "4b")
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	b.result.Explain(&said)
	for _, want := range []string{"Connect, with the power off", "se1          SDA                        GPIO2 (pin 3)\n", "reset                      GPIO22 (pin 15), active low\n"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, said.String())
		}
	}
}
