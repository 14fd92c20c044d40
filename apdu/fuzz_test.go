package apdu_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/cloud-of-se/tses/apdu"
)

// FuzzCommand: what is parsed encodes to the same bytes, always; what is
// refused says why.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"", "00A404", "00A40400", "00B0000000", "00D6000001AA", "00A40400023F0000", "00B00000000000", "00D60000000001AA",
		"00A40400000001AA0001", "00A40400000000AA", "00A404000000",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := bytes.Clone(b)
		c, err := apdu.Parse(b)
		if err != nil {
			refused(t, err)
			return
		}
		if c.Ne < 0 || c.Ne > 65536 || len(c.Data) > 65535 || c.String() == "" {
			t.Fatalf("out of range: %s", c)
		}
		got, err := c.Bytes()
		if err != nil || !bytes.Equal(got, kept) {
			t.Fatalf("%X encodes to %X, %v", kept, got, err)
		}
	})
}

// FuzzCommandFields: what is encoded parses to the same command.
func FuzzCommandFields(f *testing.F) {
	f.Add([]byte{0, 0xA4, 4, 0}, []byte{}, 0, false)
	f.Add([]byte{0, 0xA4, 4, 0}, []byte{1}, 256, false)
	f.Add([]byte{0, 0xA4, 4, 0}, make([]byte, 256), 65536, true)
	f.Fuzz(func(t *testing.T, head, data []byte, ne int, extended bool) {
		if len(head) != 4 {
			t.Skip()
		}
		c := apdu.Command{CLA: head[0], INS: head[1], P1: head[2], P2: head[3], Data: data, Ne: ne, Extended: extended}
		b, err := c.Bytes()
		if err != nil {
			refused(t, err)
			return
		}
		got, err := apdu.Parse(b)
		if err != nil || got.Ne != ne || !bytes.Equal(got.Data, data) || [4]byte{got.CLA, got.INS, got.P1, got.P2} != [4]byte(head) {
			t.Fatalf("%s became %s, %v", c, got, err)
		}
	})
}

func FuzzResponse(f *testing.F) {
	for _, s := range []string{"", "90", "9000", "6F006A82"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := apdu.ParseResponse(b)
		if err != nil {
			refused(t, err)
			return
		}
		if got := r.Bytes(); !bytes.Equal(got, b) || r.SW.Error() == "" {
			t.Fatalf("%X encodes to %X", b, got)
		}
	})
}

// FuzzTLV: encoding what was parsed gives the same bytes but for length fields
// longer than they need be, and parses to the same objects.
func FuzzTLV(f *testing.F) {
	for _, s := range []string{"", "8400", "6F0C8404A0000003A5049F6501FF", "5FC10501AA", "538101AA", "53820001AA", "5380", "1F"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := apdu.ParseTLVs(b)
		if err != nil {
			refused(t, err)
			return
		}
		var out []byte
		for _, o := range all {
			out = apdu.AppendTLV(out, o.Tag, o.Value)
			_, _ = apdu.FindTLV(o.Value, o.Tag) // must only not panic
		}
		if len(out) > len(b) {
			t.Fatalf("%X encodes to the longer %X", b, out)
		}
		again, err := apdu.ParseTLVs(out)
		if err != nil || len(out) == len(b) && !bytes.Equal(out, b) {
			t.Fatalf("%X encodes to %X, %v", b, out, err)
		}
		if len(again) != len(all) {
			t.Fatalf("%d objects became %d", len(all), len(again))
		}
		for i := range all {
			if again[i].Tag != all[i].Tag || !bytes.Equal(again[i].Value, all[i].Value) {
				t.Fatalf("object %d: %+v became %+v", i, all[i], again[i])
			}
		}
	})
}

// FuzzATR: what is parsed encodes to the same bytes and can be described.
func FuzzATR(f *testing.F) {
	for _, tt := range fieldATRs {
		f.Add(unhex(f, tt.atr))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := apdu.ParseATR(b)
		if err != nil {
			refused(t, err)
			return
		}
		got, err := a.Bytes()
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%X encodes to %X, %v", b, got, err)
		}
		if a.Describe() == "" || len(a.Protocols()) == 0 {
			t.Fatal("nothing to say")
		}
	})
}

// FuzzHistorical: what is parsed encodes to the same bytes.
func FuzzHistorical(f *testing.F) {
	for _, s := range []string{"8031A073BE21136743200718000001", "0073C84000009000", "1001", "59", "80"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := apdu.ParseHistorical(b)
		if err != nil {
			refused(t, err)
			return
		}
		got, err := h.Bytes()
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%X encodes to %X, %v", b, got, err)
		}
		again, err := apdu.ParseHistorical(got)
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

func refused(t *testing.T, err error) {
	if !errors.Is(err, apdu.ErrMalformed) {
		t.Fatalf("%v does not match %v", err, apdu.ErrMalformed)
	}
}
