package stp_test

import (
	"context"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/stp"
	"github.com/cloud-of-se/tses/stp/stptest"
)

// namer says which protocol it is, and whom it serves.
type namer string

func (n namer) Serve(_ context.Context, c *stp.Conn, s *stp.Session) error {
	_, err := io.WriteString(c, string(n)+" for "+s.Credential().Name)
	return err
}

func TestProtocolByALPN(t *testing.T) {
	ts := stptest.Start(t, stptest.Options{
		Handler:  namer("racs"),
		Handlers: map[string]stp.Handler{"other/1": namer("other"), "third/1": namer("third")},
	})
	alice := ts.Credential("alice", access.User)
	for _, tt := range []struct {
		ask  []string
		want string // "" is no session
	}{
		{nil, "racs for alice"},
		{[]string{"other/1"}, "other for alice"},
		{[]string{"unknown", "third/1"}, "third for alice"},
		{[]string{"unknown"}, ""},
	} {
		config := ts.TLS(alice)
		config.NextProtos = tt.ask
		var got []byte
		c, err := tls.Dial("tcp", ts.Addr, config)
		if err == nil {
			got, err = io.ReadAll(c)
			c.Close()
		}
		if string(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("asking for %q: got %q, %v; want %q", tt.ask, got, err, tt.want)
		}
	}
}

// Another protocol lets nobody in whom RACS does not.
func TestOtherProtocolsNeedCredentials(t *testing.T) {
	ts := stptest.Start(t, stptest.Options{Handler: namer("racs"), Handlers: map[string]stp.Handler{"other/1": namer("other")}})
	config := ts.TLS()
	config.NextProtos = []string{"other/1"}
	c, err := tls.Dial("tcp", ts.Addr, config)
	if err == nil {
		defer c.Close()
		var got []byte
		if got, err = io.ReadAll(c); err == nil {
			t.Errorf("without a credential: got %q", got)
		}
	}
}

// A clock that is not set changes nothing of the protocols.
func TestProtocolByALPNInDoubt(t *testing.T) {
	ts := stptest.Start(t, stptest.Options{
		Handler: namer("racs"), Handlers: map[string]stp.Handler{"other/1": namer("other")}, Clock: func() access.Clock { return access.Clock{Now: time.Now(), Evidence: time.Unix(0, 0)} },
	})
	config := ts.TLS(ts.Credential("alice", access.User))
	config.NextProtos = []string{"other/1"}
	c, err := tls.Dial("tcp", ts.Addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); string(got) != "other for alice" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
