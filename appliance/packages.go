package main

import "github.com/cloud-of-se/tses/drivers/softse/applet"

// softPackages are the applications that software SEs come with.
func softPackages() []applet.Package { return nil }
