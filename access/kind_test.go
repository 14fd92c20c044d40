package access_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A way is one thing in which cards differ.
type way int

const (
	hears   way = iota // which channel CLA means
	manages            // what MANAGE CHANNEL does
	closed             // what a command on a closed channel does
	begins             // what is selected on a new channel
	numbers            // what opening a channel answers
	reopens            // what opening an open channel does
	closes             // which channel is closed
	classes            // what the class of a command is for
	chains             // what bit 5 of CLA does
	secures            // what secure messaging does
	fails              // what a SELECT does that finds nothing
	selects            // which P1 of SELECT, besides 04, changes the application
	gives              // how data come that Le does not fit
	says               // what an application answers everything with
	ways
)

// manners are the ways in words, those of a card by the book first.
var manners = [ways][]string{
	hears:   {"hears all channels", "is deaf to channels", "hears two bits of channels", "hears channels above 3 as the basic one"},
	manages: {"manages channels", "refuses MANAGE CHANNEL", "gives MANAGE CHANNEL to the application"},
	closed:  {"refuses closed channels", "opens channels by any command", "hears closed channels as the basic one"},
	begins:  {"lets channels inherit from all but the basic one", "begins channels with the default", "lets channels inherit"},
	numbers: {"says which channel it opened", "says nothing of it", "says it opened 0", "says it opened another", "opens another than asked for and says so", "opens another than asked for and says nothing"},
	reopens: {"opens no open channel", "begins open channels anew"},
	closes:  {"closes channels by P2", "closes the basic channel, too", "closes channels by CLA", "closes every channel by CLA"},
	classes: {"tells classes apart", "takes the proprietary class for interindustry", "gives domains all classes"},
	chains:  {"does not look at chaining", "refuses chaining", "chains one command", "chains all commands to the first", "chains all commands to the last"},
	secures: {"refuses secure messaging", "does not look at secure messaging", "unwraps secure messaging", "gives secure messaging to the application"},
	fails:   {"keeps the selection", "falls back to the default", "loses the selection"},
	selects: {"looks at P1", "looks at one bit of P1", "has its default as MF"},
	gives:   {"cuts data", "gives the rest by 61XX", "asks for Le by 6CXX", "gives all data by GET RESPONSE"},
	says:    {"applications say 9000", "say 6985", "say 6D00", "say 02 9000", "say 01 9000", "say 6101", "say 6C01", "say an FCI", "say a broken FCI"},
}

// answers are the last row of manners.
var answers = []string{"9000", "6985", "6D00", "029000", "019000", "6101", "6C01", fciPPSE + "9000", "6F009000"}

// A cardKind says for each way which manner a card has.
type cardKind [ways]int

func (k cardKind) String() string {
	var odd []string
	for w, m := range k {
		if m != 0 {
			odd = append(odd, manners[w][m])
		}
	}
	if odd == nil {
		return "by the book"
	}
	return strings.Join(odd, ", ")
}

// kinds are all cards that leave the book in at most so many ways.
func kinds(most int) []cardKind {
	all := []cardKind{{}}
	for w := range ways {
		for _, k := range all { // of the ways before this one
			if k.oddities() == most {
				continue
			}
			for m := 1; m < len(manners[w]); m++ {
				k[w] = m
				all = append(all, k)
			}
		}
	}
	return all
}

func (k cardKind) oddities() (n int) {
	for _, m := range k {
		if m != 0 {
			n++
		}
	}
	return n
}

// anyKind leaves the book in about every third way.
func anyKind(r *rand.Rand) (k cardKind) {
	for w := range ways {
		if r.IntN(3) == 0 {
			k[w] = r.IntN(len(manners[w]))
		}
	}
	return k
}

func init() {
	if len(answers) != len(manners[says]) {
		panic(fmt.Sprintf("%d answers for %d manners", len(answers), len(manners[says])))
	}
}
