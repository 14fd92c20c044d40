package main

import (
	"time"

	"github.com/cloud-of-se/tses/grid"
)

// check says what is wrong with a configuration, without state, hardware and
// network: SEs that it names need not be there, files have to.
func check(f flags) error {
	c, err := loadConfig(f.config)
	if err != nil {
		return err
	}
	admission, err := c.checkAccess()
	if err != nil {
		return err
	}
	if err := admission.checkDates(time.Now()); err != nil {
		return err
	}
	g := grid.New()
	for _, e := range c.Elements {
		if err := grid.CheckSEID(e.SEID); err != nil {
			return err
		}
		if err := addElement(g, e, absent{name: e.SEID}); err != nil {
			return err
		}
	}
	return nil
}
