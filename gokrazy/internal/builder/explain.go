package builder

import (
	"fmt"
	"io"
	"strings"

	"github.com/cloud-of-se/tses/boards"
)

// connect adds what of a wiring is to be connected to the board.
func (r *Result) connect(board *boards.Board, w boards.Wiring) error {
	signals, err := board.Signals(w)
	if err != nil {
		return err
	}
	var s strings.Builder
	for _, signal := range signals {
		fmt.Fprintf(&s, "  %-12s %-26s %s\n", w.Name, signal.Name, signal.Place)
	}
	r.Pins += s.String()
	return nil
}

// Explain says what was made, how to write it on a card and how to connect to
// the box, in lines that can be copied.
func (r *Result) Explain(w io.Writer) {
	if r.NewOwner {
		fmt.Fprintf(w, "\n%s is new: it makes you the owner of this box. Keep it safe, and a copy of it.\n", r.Owner.Dir)
	}
	if r.Pins != "" {
		fmt.Fprintf(w, "\nConnect, with the power off, and ground and supply besides:\n%s", r.Pins)
	}
	way := "with a network cable"
	if r.Wifi != "" {
		way = fmt.Sprintf("where the Wi-Fi network %q is heard", r.Wifi)
	}
	fmt.Fprintf(w, `
%[1]s
  size     %[2]d bytes
  SHA-256  %[3]s
  box      %[4]s

It holds a key of this box. Write it to an SD card of 2 GB or more, whose
content is lost, then remove the file:
  Linux    lsblk shows the card; sudo dd if=%[1]s of=/dev/sdX bs=4M conv=fsync status=progress
  macOS    diskutil list shows the card; diskutil unmountDisk diskN; sudo dd if=%[1]s of=/dev/rdiskN bs=4m
  Windows  Raspberry Pi Imager: Choose OS, Use custom, %[1]s; then answer No to its customisation

Put it in the Raspberry Pi %[10]s, switch it on, and connect:
  export RACS_SERVER=%[4]s.local:%[5]s RACS_CA=%[6]s RACS_CRED=%[7]s
  go run ./cmd/racs list
  go run ./cmd/racs apdu %[9]s 00A4040005A000000308
If %[4]s.local is not found, use the address that your router shows and say whom you want:
  go run ./cmd/racs -server ADDRESS:%[5]s -name %[4]s.local list

Where %[4]s runs already it takes the same without a new card, and keeps its state:
  go run ./cmd/racs update %[8]s
`, r.Output, Size, r.SHA256, r.Name, r.Port, r.Owner.CA(), r.Owner.Admin(), r.Update, r.SEID, way)
}
