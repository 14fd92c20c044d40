package boottest

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// report is what init lists on the console when the kernel's command line has
// tses.report=1, see package init.
type report struct {
	processes []process
	sockets   []string // "tcp *:7777 7777": protocol, address, user
	daemon    map[string]string
	memory    map[string]int // KiB
	files     map[string]string
}

type process struct {
	name     string
	uid, rss int // KiB
}

// withReport asks for it.
const withReport = "tses.report=1"

var reportLine = regexp.MustCompile(`(?m)^report (\w+) (.*?)\r?$`)

func (m *Machine) report(ctx context.Context, t *testing.T) report {
	t.Helper()
	if _, err := m.Await(ctx, `report end`); err != nil {
		t.Fatal(err)
	}
	r := report{daemon: make(map[string]string), memory: make(map[string]int), files: make(map[string]string)}
	for _, line := range reportLine.FindAllStringSubmatch(m.Console(), -1) {
		words := strings.Fields(line[2])
		switch {
		case line[1] == "process" && len(words) == 5:
			r.processes = append(r.processes, process{words[4], number(t, words[1]), number(t, words[3])})
		case line[1] == "socket":
			r.sockets = append(r.sockets, line[2])
		case line[1] == "daemon":
			key, value, _ := strings.Cut(line[2], " ")
			r.daemon[key] = value
		case line[1] == "memory" && len(words) == 2:
			r.memory[words[0]] = number(t, words[1])
		case line[1] == "file" && len(words) == 3:
			r.files[words[2]] = words[0] + " " + words[1]
		}
	}
	return r
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Errorf("the report: %v", err)
	}
	return n
}
