package main

import (
	"strings"
	"testing"
)

func TestReaderConfiguration(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"reader", "driver = \"pcsc\"\nreader = \"ACS*\"", ""},
		{"atr", "driver = \"pcsc\"\natr = \"3b??96*\"", ""},
		{"both", "driver = \"pcsc\"\nreader = \"*[CCID]*\"\natr = \"3B*\"", ""},
		{"neither", `driver = "pcsc"`, `which card? give it reader = "GLOB"`},
		{"no ATR", "driver = \"pcsc\"\natr = \"3B 96\"", "neither a hex digit nor"},
		{"another driver's", "driver = \"softse\"\nreader = \"ACS*\"", "belong to the driver pcsc"},
	}
	for _, tt := range tests {
		_, err := loadConfig(writeConfig(t, "[[element]]\nseid = \"sim1\"\n"+tt.text+"\n"))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if c, err := loadConfig(writeConfig(t, "[pcsc]\nreaders = true\n")); err != nil || !c.PCSC.Readers {
		t.Errorf("readers: %v, %v", c.PCSC, err)
	}
}
