//go:build linux

// Command init is the first process of the SD card. It mounts what there is to
// mount and keeps one daemon running, the TSES.
package main

import (
	"context"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/gokrazy/gokrazy"
)

// daemon is the TSES with its flags.
var daemon = []string{"/user/appliance", "-box", "/etc/tses", "-state", "/perm/tses"}

func main() {
	// A DHCP client tells PID 1 of a lease by this signal, which would end it.
	signal.Ignore(syscall.SIGHUP)
	if err := gokrazy.Boot("TSES"); err != nil {
		log.Fatalf("boot: %v", err) // the kernel restarts the machine
	}
	supervise(context.Background())
}

// supervise starts the daemon again whenever it ends, each time later.
func supervise(ctx context.Context) {
	const first, most = 250 * time.Millisecond, 30 * time.Second
	pause := first
	for ctx.Err() == nil {
		began := time.Now()
		err := once(ctx)
		if time.Since(began) > most {
			pause = first
		}
		log.Printf("the daemon ended after %v: %v; next start in %v", time.Since(began).Round(time.Millisecond), err, pause)
		time.Sleep(pause)
		pause = min(2*pause, most)
	}
}

func once(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, daemon[0], daemon[1:]...)
	cmd.Env = []string{"PATH=/user:/gokrazy", "HOME=/perm/home/tses"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
