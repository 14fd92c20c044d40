package main

import (
	"github.com/cloud-of-se/tses/access"
	"github.com/cloud-of-se/tses/grid"
)

// check says what is wrong with a configuration, without state, hardware and
// network: what it names need not be there.
func check(f flags) error {
	c, err := loadConfig(f.config)
	if err != nil {
		return err
	}
	if _, err := access.NewPolicy(rulesOf(c)); err != nil {
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
