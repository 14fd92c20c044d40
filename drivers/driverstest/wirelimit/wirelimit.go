// Package wirelimit measures drivers of chips on a bus against the least time
// that the wire, the chip's guard times and the chip's own work take. In a
// bubble of testing/synctest with the buses of package chipsim the times are
// exact.
package wirelimit

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloud-of-se/tses/drivers"
	"github.com/cloud-of-se/tses/drivers/driverstest/chipsim"
)

// MaxRatio is what a driver may take of the least time.
const MaxRatio = 1.2

// A Job is commands with the sizes of their answers, in bytes with the status
// word.
type Job struct {
	Name     string
	Commands [][]byte
	Answers  []int
}

// The jobs: a SELECT, a signature by GENERAL AUTHENTICATE, a kilobyte into the
// card as a chain of short commands and as one extended command.
var Jobs = []Job{
	job("SELECT 13→22", []int{13}, 22),
	job("sign 44→76", []int{44}, 76),
	job("1 KB in, 4×260+9→2", []int{260, 260, 260, 260, 9}, 2),
	job("1 KB in, 1031→2", []int{1031}, 2),
}

// Longest is the size of the longest command.
func (j Job) Longest() int {
	n := 0
	for _, c := range j.Commands {
		n = max(n, len(c))
	}
	return n
}

func job(name string, sizes []int, answer int) Job {
	j := Job{Name: name}
	for _, n := range sizes {
		c := make([]byte, n)
		copy(c, []byte{0x00, 0xDB, byte(len(name)), byte(answer), byte(n - 5)})
		if n > 260 { // extended
			c[4], c[5], c[6] = 0, byte((n-7)>>8), byte(n-7)
		}
		j.Commands, j.Answers = append(j.Commands, c), append(j.Answers, answer)
	}
	return j
}

// Brain answers the jobs' commands; P2 is the size of the answer.
type Brain struct{}

var _ drivers.SE = Brain{}

// PowerOn implements [drivers.SE].
func (Brain) PowerOn(context.Context) ([]byte, error) { return []byte{0x3B, 0x00}, nil }

// Reset implements [drivers.SE].
func (Brain) Reset(context.Context, drivers.ResetKind) ([]byte, error) {
	return []byte{0x3B, 0x00}, nil
}

// PowerOff implements [drivers.SE].
func (Brain) PowerOff(context.Context) error { return nil }

// String implements [drivers.SE].
func (Brain) String() string { return "wirelimit" }

// Transmit implements [drivers.SE].
func (Brain) Transmit(_ context.Context, command []byte) ([]byte, error) {
	answer := make([]byte, command[3])
	answer[len(answer)-2] = 0x90
	return answer, nil
}

// Think is how long a chip works on a command: as long as the mean, or up to
// Spread more or less.
type Think struct{ Mean, Spread time.Duration }

// Thinks are a chip that answers at once, one that needs a moment, one that
// signs, and one that signs in a time that varies.
var Thinks = []Think{
	{},
	{Mean: 3 * time.Millisecond},
	{Mean: 30 * time.Millisecond},
	{Mean: 30 * time.Millisecond, Spread: 6 * time.Millisecond},
}

// Times is a function for [chipsim.Options] that goes through the times evenly.
func (k Think) Times() func([]byte) time.Duration {
	const steps, stride = 101, 37
	i := 0
	return func([]byte) time.Duration {
		i = (i + stride) % steps
		return k.Mean - k.Spread + 2*k.Spread*time.Duration(i)/(steps-1)
	}
}

// String is the mean and the spread.
func (k Think) String() string {
	if k.Spread > 0 {
		return fmt.Sprintf("%v±%v", k.Mean, k.Spread)
	}
	return k.Mean.String()
}

// Link is what the least time is computed from.
type Link struct {
	Name       string
	Access     func(n int) time.Duration // an access of n bytes
	Guard      time.Duration             // before each access
	Turn       time.Duration             // before the first read after a write, if longer
	Overhead   int                       // bytes of a block without INF
	IFSC, IFSD int
	Think      Think
}

// accesses is what a job needs at the least.
type accesses struct {
	number int
	time   time.Duration
}

func (l *Link) write(a *accesses, inf int) {
	a.number++
	a.time += l.Guard + l.Access(inf+l.Overhead)
}

// read is one access for as many bytes as the shortest block has and one for
// the rest: nobody knows the length before.
func (l *Link) read(a *accesses, inf int, think time.Duration) {
	a.number++
	a.time += max(l.Guard, l.Turn, think) + l.Access(l.Overhead)
	if inf > 0 {
		a.number++
		a.time += l.Guard + l.Access(inf)
	}
}

// least is the least that a job takes.
func (l *Link) least(j Job) accesses {
	var a accesses
	for i, c := range j.Commands {
		n := len(c)
		for ; n > l.IFSC; n -= l.IFSC {
			l.write(&a, l.IFSC)
			l.read(&a, 0, 0)
		}
		l.write(&a, n)
		n = j.Answers[i]
		think := l.Think.Mean
		for ; n > l.IFSD; n -= l.IFSD {
			l.read(&a, l.IFSD, think)
			l.write(&a, 0)
			think = 0
		}
		l.read(&a, n, think)
	}
	return a
}

// Row is a measured line of the table.
type Row struct {
	Link, Job       string
	Taken, Least    time.Duration
	Accesses, Needs float64 // per run of the job
}

// Ratio is the time taken to the least.
func (r Row) Ratio() float64 { return float64(r.Taken) / float64(r.Least) }

// String is the row of a table.
func (r Row) String() string {
	return fmt.Sprintf("%-48s %-20s %9.3f %9.3f %6.2f %8.2f %5.0f", r.Link, r.Job,
		ms(r.Least), ms(r.Taken), r.Ratio(), r.Accesses, r.Needs)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Header names the columns: times in ms, accesses to the bus for a run of the
// job.
func Header() string {
	return fmt.Sprintf("%-48s %-20s %9s %9s %6s %8s %5s\n%s", "link", "job", "least", "taken", "ratio", "accesses", "least", strings.Repeat("-", 111))
}

// How often a job is run to learn the chip's pace, and then to measure.
const (
	warmUp = 12
	runs   = 100
)

// Measure runs a job in the bubble of its caller. The driver is powered on.
func Measure(t *testing.T, se drivers.SE, chip *chipsim.Chip, l Link, j Job) Row {
	t.Helper()
	run := func() {
		for i, c := range j.Commands {
			answer, err := se.Transmit(t.Context(), c)
			if err != nil || len(answer) != j.Answers[i] {
				t.Fatalf("%s, %s: %d bytes, %v; want %d bytes", l.Name, j.Name, len(answer), err, j.Answers[i])
			}
		}
	}
	for range warmUp {
		run()
	}
	chip.Traffic()
	start := time.Now()
	for range runs {
		run()
	}
	least := l.least(j)
	return Row{
		Link: l.Name, Job: j.Name,
		Taken: time.Since(start) / runs, Least: least.time,
		Accesses: float64(chip.Traffic().Accesses) / runs, Needs: float64(least.number),
	}
}

// Judge logs the row and fails the test if it is above [MaxRatio] or if the
// chip has something to say against the host.
func (r Row) Judge(t *testing.T, chip *chipsim.Chip) {
	t.Helper()
	t.Log(r)
	if r.Ratio() > MaxRatio {
		t.Errorf("%s, %s: %v, %v at the least: %.2f times, at most %.1f", r.Link, r.Job, r.Taken, r.Least, r.Ratio(), MaxRatio)
	}
	for _, finding := range chip.Audit() {
		t.Errorf("%s, %s: %s", r.Link, r.Job, finding)
	}
}
