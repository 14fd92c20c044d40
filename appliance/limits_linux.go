package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// machineResources are the machine's, or the control group's where that has less.
// A process that may not read its control group is on a card, which has none.
func machineResources() resources {
	var r resources
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err == nil {
		r.memory = int64(uint64(info.Totalram) * uint64(info.Unit))
	}
	if own, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		if m := groupMemory("/sys/fs/cgroup", string(own)); m > 0 && (r.memory == 0 || m < r.memory) {
			r.memory = m
		}
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		r.files = int64(min(files.Cur, 1<<20))
	}
	return r
}

// groupMemory is the least memory that a control group (cgroups(7)) or one above
// it may have, 0 for no bound. own is the text of /proc/PID/cgroup: lines
// "0::/path" of version 2, "9:memory:/path" of version 1.
func groupMemory(root, own string) (least int64) {
	for line := range strings.Lines(own) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		dir, file := root, "memory.max"
		if strings.Contains(","+parts[1]+",", ",memory,") {
			dir, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		} else if parts[1] != "" {
			continue
		}
		for path := filepath.Clean("/" + parts[2]); ; path = filepath.Dir(path) {
			if m := groupLimit(filepath.Join(dir, path, file)); m > 0 && (least == 0 || m < least) {
				least = m
			}
			if path == "/" {
				break
			}
		}
	}
	return least
}

// groupLimit reads one limit: "max", or bytes. 0 is none.
func groupLimit(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0 // "max"
	}
	return n
}
