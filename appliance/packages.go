package main

import (
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/devinfo"
	"github.com/cloud-of-se/tses/drivers/softse/openpgp"
	"github.com/cloud-of-se/tses/drivers/softse/piv"
)

// softPackages are the applications that software SEs come with. A fresh one has
// all of them installed; one that an earlier version made keeps those that it
// has, and INSTALL adds the others.
func softPackages() []applet.Package {
	return []applet.Package{piv.Package(), openpgp.Package(), devinfo.Package()}
}
