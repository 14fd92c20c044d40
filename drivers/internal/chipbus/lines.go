package chipbus

import (
	"context"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// ResetLine is a pin that holds the chip in reset, or its power away.
type ResetLine struct {
	Pin    gpio.PinOut
	Active gpio.Level    // the level at which the chip is in reset
	Pulse  time.Duration // the least time at that level
}

// hold puts the chip into reset.
func (r *ResetLine) hold() error {
	if err := r.Pin.Out(r.Active); err != nil {
		return fmt.Errorf("reset pin %s: %w", r.Pin, err)
	}
	return nil
}

// release lets a chip that has been held for the pulse time start.
func (r *ResetLine) release() error {
	if err := r.Pin.Out(!r.Active); err != nil {
		return fmt.Errorf("reset pin %s: %w", r.Pin, err)
	}
	return nil
}

// ReadyLine is a pin by which the chip says that it has something to say.
type ReadyLine struct {
	Pin    gpio.PinIn
	Active gpio.Level // the level at which it has
}

// edgeSlice bounds a wait for an edge, which no context can end.
const edgeSlice = 20 * time.Millisecond

// wait returns when the line is active, or at until. Without a line it returns
// at once.
func (r *ReadyLine) wait(ctx context.Context, until time.Time) error {
	if r == nil {
		return nil
	}
	for r.Pin.Read() != r.Active {
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		r.Pin.WaitForEdge(min(left, edgeSlice)) // an edge or none: the level decides
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// arm makes the pin an input that notices the edge to the active level.
func (r *ReadyLine) arm() error {
	if r == nil {
		return nil
	}
	edge, pull := gpio.FallingEdge, gpio.PullUp
	if r.Active == gpio.High {
		edge, pull = gpio.RisingEdge, gpio.PullDown
	}
	if err := r.Pin.In(pull, edge); err != nil {
		return fmt.Errorf("interrupt pin %s: %w", r.Pin, err)
	}
	return nil
}
