package main

import (
	"errors"
	"fmt"

	"github.com/cloud-of-se/tses/drivers/pcsc"
)

// pcscDriver is the driver of cards in the readers of the host. One watch of
// the readers serves all of its elements.
const pcscDriver = "pcsc"

// match says which card an element of the driver pcsc is.
func (e elementConfig) match() pcsc.Match { return pcsc.Match{Reader: e.Reader, ATR: e.ATR} }

// checkReader tells what is wrong with the reader and the answer to reset.
func (e elementConfig) checkReader() error {
	if e.Driver != pcscDriver {
		if e.match() != (pcsc.Match{}) {
			return fmt.Errorf("reader and atr belong to the driver %s, not to %s", pcscDriver, e.Driver)
		}
		return nil
	}
	if err := e.match().Check(); errors.Is(err, pcsc.ErrNoMatch) {
		return errors.New(`which card? give it reader = "GLOB", atr = "GLOB", or both`)
	} else if err != nil {
		return err
	}
	return nil
}
