// Command racs uses the secure elements of a TSES from the command line.
//
//	racs -server HOST:PORT -ca ca.pem -cred user.pem list
//	racs apdu soft1 80CA9F7F00 0084000008
//
// The server and the files may come from RACS_SERVER, RACS_CA and RACS_CRED.
// "racs help" says what there is, "racs doctor" what is wrong when nothing
// works.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
