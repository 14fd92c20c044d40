package main

import (
	"context"
	"fmt"
	"strings"
)

// command is one command of racs with its manual.
type command struct {
	name, args, short string
	run               func(p *program, ctx context.Context, args []string) error
	long              string
}

func commands() []command {
	return []command{
		{"list", "", "show the SEs that the credential may use, a SEID a line", (*program).list, ""},
		{"apdu", "SEID HEX...|-", "power the SE on, send APDUs, print an answer a line", (*program).apdu,
			`Each HEX is one command APDU of case 1 to 4, short or extended, as hex digits;
spaces and colons may stand between the bytes. Words of two digits each are the
bytes of one APDU. All are checked before the first is sent. An answer is data and
status word in upper-case hex; a terminal is told what the status word means. One
other than 9000 is the SE's answer and no error of racs. The SE is powered off at
the end.

    racs apdu soft1 00A4040005A000000308 '00 84 00 00 08'
    racs apdu soft1 00 84 00 00 08

    racs apdu soft1 80CA9F7F00 0084000008

- stands for APDUs from standard input, one a line, up to its end; blank lines and
those that begin with # are none. What stands in a command line can be seen by
every user of this machine, and is kept by shells: a PIN belongs there.

    racs apdu soft1 - <commands.txt
`},
		{"reset", "SEID [warm]", "power the SE on, reset it, print its ATR", (*program).reset,
			`The reset is a cold one without "warm". A terminal is told what the ATR says.
The SE is powered off at the end.
`},
		{"run", "[FILE]", "send a RACS script and print what comes back", (*program).script,
			`The script is sent as it is, from FILE or from standard input, line by line as
it comes, and the answers are printed as they came. racs ends when every request
of the script has its answer, or the server closes the connection. On a terminal
what it would act upon is shown as \x1b or \u202e.

    printf 'BEGIN\nPOWERON soft1\nAPDU soft1 0084000008\nEND\n' | racs run
`},
		{"pcsc", "[-- PROGRAM]", "show the SEs as readers to PC/SC programs", (*program).pcsc, pcscHelp},
		{"update", "[FILE]", "replace what a box runs, or show what it runs", (*program).update, updateHelp},
		{"doctor", "", "find out what is wrong, step by step", (*program).doctor,
			`Each step prints "ok" or "FAIL" and, below a failure, what to do. doctor stops
where a failure makes the rest impossible. It powers every SE on and off again
that no other session has. The exit status is that of the first failure.
`},
		{"version", "", "say which version of racs this is", (*program).version, ""},
	}
}

const flagsHelp = `  -server HOST:PORT  the TSES (or RACS_SERVER)
  -ca FILE           its ca.pem (or RACS_CA)
  -cred FILE         the credential: certificate and key in one PEM file (or RACS_CRED)
  -name NAME         the name that the server's certificate must have, instead of HOST
  -timeout DURATION  for each of connecting, TLS and an answer (10s, 10s and 60s;
                     330s for an APDU, as a key can take long to make)
  -tls12             admit servers that have only TLS 1.2, where a listener on the way
                     can read the credential's name

Exit status: 0 all well, 1 the server answered an error, 2 usage, 3 no connection
or not let in, 130 interrupted.
`

// showHelp prints all commands, or the manual of the one that is named.
func (p *program) showHelp(words []string) error {
	if len(words) > 0 && words[0] == "help" {
		words = words[1:]
	}
	if len(words) == 0 {
		return p.printOwn(overview())
	}
	for _, c := range commands() {
		if c.name == words[0] {
			text := fmt.Sprintf("racs %s: %s\n\n%s\nFlags:\n%s", strings.TrimSpace(c.name+" "+c.args), c.short, c.long, flagsHelp)
			return p.printOwn(strings.ReplaceAll(text, "\n\n\n", "\n\n"))
		}
	}
	return usageError(fmt.Sprintf("no command %q; racs help shows them", words[0]))
}

func overview() string {
	var b strings.Builder
	b.WriteString("racs uses the secure elements (SEs) of a TSES over RACS.\n\n")
	b.WriteString("    racs -server HOST:PORT -ca FILE -cred FILE COMMAND\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-18s %s\n", strings.TrimSpace(c.name+" "+c.args), c.short)
	}
	fmt.Fprintf(&b, "  %-18s %s\n\nFlags, before or behind the command:\n%s", "help [COMMAND]", "show this, or more about a command", flagsHelp)
	return b.String()
}
