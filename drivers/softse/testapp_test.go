package softse

import (
	"bytes"
	"errors"
	"io/fs"
	"time"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/drivers/softse/applet"
)

// The test application: a counter that lasts, and commands that show what the
// operating system does.
var (
	testPackage = apdu.MustAID("F054534553")
	testModule  = apdu.MustAID("F05453455301")
)

const (
	insEcho   = 0x10 // the data, or P1P2 bytes that count up
	insHeader = 0x12 // the class that arrived, and Ne
	insCount  = 0x14 // adds P1 to the counter, commits, and returns it
	insFault  = 0x16 // panics
	slowTime  = 10 * time.Second
)

func testPackages() []applet.Package {
	return []applet.Package{{
		AID: testPackage, Major: 1, Minor: 2,
		Modules: []applet.Module{{
			AID: testModule,
			Install: func(card applet.Card, aid apdu.AID, params []byte) (applet.Application, error) {
				if len(params) == 1 && params[0] == 0xEE {
					return nil, apdu.SWConditionsNotSatisfied
				}
				return &testApp{card: card, aid: aid, personal: bytes.Clone(params)}, nil
			},
			Load: func(card applet.Card, aid apdu.AID, state []byte) (applet.Application, error) {
				if len(state) < 1 {
					return nil, errors.New("no state")
				}
				return &testApp{card: card, aid: aid, count: state[0], personal: state[1:]}, nil
			},
		}},
	}}
}

type testApp struct {
	card     applet.Card
	aid      apdu.AID
	count    byte
	personal []byte
	refuse   bool
}

func (a *testApp) Select() (applet.Selection, []byte, error) {
	if a.refuse {
		return nil, nil, apdu.SWConditionsNotSatisfied
	}
	return &testSelection{a: a}, apdu.AppendTLV(nil, 0x6F, apdu.AppendTLV(nil, 0x84, []byte(a.aid))), nil
}

func (a *testApp) Save() ([]byte, error) { return append([]byte{a.count}, a.personal...), nil }

func (a *testApp) Personalize(c apdu.Command) apdu.Response {
	if len(a.personal)+len(c.Data) > 64 {
		return apdu.Response{SW: apdu.SWNotEnoughMemory}
	}
	a.personal = append(bytes.Clone(a.personal), c.Data...)
	return apdu.Response{SW: apdu.SWSuccess}
}

type testSelection struct {
	a      *testApp
	closed bool
}

func (s *testSelection) Close() {
	if s.closed {
		panic("a selection is closed twice")
	}
	s.closed = true
}

func (s *testSelection) Process(c apdu.Command) apdu.Response {
	if s.closed {
		panic("a selection is used after it was closed")
	}
	switch c.INS {
	case insEcho:
		data := c.Data // not copied, which the contract lets it be
		if len(data) == 0 {
			data = make([]byte, int(c.P1)<<8|int(c.P2))
			for i := range data {
				data[i] = byte(i)
			}
		}
		return apdu.Response{Data: data, SW: apdu.SWSuccess}
	case insHeader:
		return apdu.Response{Data: []byte{c.CLA, byte(c.Ne >> 8), byte(c.Ne)}, SW: apdu.SWSuccess}
	case insCount:
		s.a.count += c.P1
		if err := s.a.card.Commit(); err != nil {
			s.a.count -= c.P1
			return apdu.Response{SW: apdu.SWMemoryFailure}
		}
		return apdu.Response{Data: append([]byte{s.a.count}, s.a.personal...), SW: apdu.SWSuccess}
	case insFault:
		panic("test fault")
	case insGenerate:
		time.Sleep(slowTime)
		if c.P1 == 0 {
			return apdu.Response{Data: c.Data, SW: apdu.SWSuccess}
		}
		s.a.count += c.P1 // it stands for the key
		if err := s.a.card.Commit(); err != nil {
			s.a.count -= c.P1
			return apdu.Response{SW: apdu.SWMemoryFailure}
		}
		return apdu.Response{Data: []byte{s.a.count}, SW: apdu.SWSuccess}
	}
	return apdu.Response{SW: apdu.SWInstruction}
}

// memory is a Store that can be made to fail.
var errDiskFull = errors.New("the disk is full")

type memory struct {
	state  []byte
	saves  int
	fail   error
	saving func() // called when it begins to save; nil: nothing
}

func (m *memory) Load() ([]byte, error) {
	if m.state == nil {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(m.state), nil
}

func (m *memory) Save(state []byte) error {
	if m.saving != nil {
		m.saving()
	}
	if m.fail != nil {
		return m.fail
	}
	m.saves++
	m.state = bytes.Clone(state)
	return nil
}

func testOpts(store Store) Opts {
	opts := DefaultOpts()
	opts.Packages, opts.Store = testPackages(), store
	return opts
}
