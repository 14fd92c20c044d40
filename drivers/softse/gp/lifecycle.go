package gp

import "slices"

// CardState is the card's life cycle state (GlobalPlatform Card
// Specification 2.3.1, table 11-6).
type CardState byte

// The states of the card.
const (
	OpReady     CardState = 0x01
	Initialized CardState = 0x07
	Secured     CardState = 0x0F
	CardLocked  CardState = 0x7F
	Terminated  CardState = 0xFF
)

// next are the states that SET STATUS may lead to (figure 5-1).
func (s CardState) next() []CardState {
	switch s {
	case OpReady:
		return []CardState{Initialized, Terminated}
	case Initialized:
		return []CardState{Secured, Terminated}
	case Secured:
		return []CardState{CardLocked, Terminated}
	case CardLocked:
		return []CardState{Secured, Terminated}
	}
	return nil
}

func (s CardState) mayBecome(to CardState) bool { return slices.Contains(s.next(), to) }

func (s CardState) valid() bool {
	return s == Terminated || len(s.next()) > 0
}

// State is an application's life cycle state (tables 11-4 and 11-5).
type State byte

// The states of an application. Locked is a bit beside the state that the
// application comes back to.
const (
	Installed    State = 0x03
	AppReady     State = 0x07 // SELECTABLE
	Personalized State = 0x0F
	Locked       State = 0x80
)

func (s State) valid() bool {
	switch s &^ Locked {
	case Installed, AppReady, Personalized:
		return true
	}
	return false
}

// selectable tells whether the state lets SELECT choose the application.
func (s State) selectable() bool { return s&Locked == 0 && s&AppReady == AppReady }
