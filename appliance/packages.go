package main

import (
	"github.com/cloud-of-se/tses/drivers/softse/applet"
	"github.com/cloud-of-se/tses/drivers/softse/piv"
)

// softPackages are the applications that software SEs come with.
func softPackages() []applet.Package { return []applet.Package{piv.Package()} }
