//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// report lists what runs and what listens, in lines that a program can read:
//
//	report process PID UID THREADS RSS-KiB NAME
//	report socket  PROTOCOL LOCAL-ADDRESS UID
//	report daemon  KEY VALUE
//	report memory  KEY KiB
//	report file    MODE UID PATH
//	report end
func (b *box) report() {
	var w strings.Builder
	reportProcesses(&w, "/proc")
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6", "raw", "raw6"} {
		reportSockets(&w, "/proc/net", protocol)
	}
	reportMemory(&w, "/proc")
	reportFiles(&w, "/perm")
	reportFiles(&w, "/etc/tses")
	w.WriteString("report end\n")
	// The sink never fails.
	_, _ = io.WriteString(b.out, w.String())
}

// reportProcesses lists what is no thread of the kernel.
func reportProcesses(w io.Writer, proc string) {
	dirs, err := filepath.Glob(filepath.Join(proc, "[0-9]*"))
	if err != nil {
		return // the pattern is good
	}
	for _, dir := range dirs {
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(cmdline) == 0 {
			continue // it has ended, or is the kernel's
		}
		status := keys(filepath.Join(dir, "status"))
		fmt.Fprintf(w, "report process %s %s %s %s %s\n", filepath.Base(dir), first(status["Uid"]), status["Threads"], first(status["VmRSS"]), status["Name"])
		if program, _, _ := strings.Cut(string(cmdline), "\x00"); program == daemonProgram {
			for _, key := range []string{"NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "CapBnd", "Groups"} {
				fmt.Fprintf(w, "report daemon %s %s\n", key, status[key])
			}
		}
	}
}

// keys reads lines of the form "Name:	value".
func keys(path string) map[string]string {
	all := make(map[string]string)
	f, err := os.Open(path)
	if err != nil {
		return all // it has ended
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok {
			all[key] = strings.TrimSpace(value)
		}
	}
	return all
}

func first(text string) string {
	if words := strings.Fields(text); len(words) > 0 {
		return words[0]
	}
	return "?"
}

// reportSockets lists TCP sockets that listen, and all others that there are.
func reportSockets(w io.Writer, net, protocol string) {
	f, err := os.Open(filepath.Join(net, protocol))
	if err != nil {
		return // the kernel has not this protocol
	}
	defer f.Close()
	const listening = "0A"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 || !strings.HasSuffix(fields[0], ":") || strings.HasPrefix(protocol, "tcp") && fields[3] != listening {
			continue
		}
		fmt.Fprintf(w, "report socket %s %s %s\n", protocol, address(fields[1]), fields[7])
	}
}

// address makes "ADDRESS:PORT" of the kernel's "HEX:HEX". Of the address it
// tells only whether it is every one.
func address(text string) string {
	host, port, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return text
	}
	if strings.Trim(host, "0") == "" {
		host = "*"
	}
	return fmt.Sprintf("%s:%d", host, n)
}

func reportMemory(w io.Writer, proc string) {
	info := keys(filepath.Join(proc, "meminfo"))
	for _, key := range []string{"MemTotal", "MemFree", "MemAvailable"} {
		fmt.Fprintf(w, "report memory %s %s\n", key, first(info[key]))
	}
}

func reportFiles(w io.Writer, dir string) {
	// What cannot be read is not listed.
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintf(w, "report file %v %d %s\n", info.Mode(), owner(info), path)
		}
		return nil
	})
}
