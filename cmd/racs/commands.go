package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cloud-of-se/tses/apdu"
	"github.com/cloud-of-se/tses/internal/version"
	"github.com/cloud-of-se/tses/stp/racs"
)

// list prints a SEID a line.
func (p *program) list(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return usageError("list takes no arguments")
	}
	return p.withClient(ctx, func(client *racs.Client) error {
		seids, err := client.List(ctx)
		if err != nil {
			return err
		}
		return p.printLines(seids...)
	})
}

// version prints which racs this is.
func (p *program) version(_ context.Context, args []string) error {
	if len(args) > 0 {
		return usageError("version takes no arguments")
	}
	return p.printOwn("racs " + version.String() + "\n")
}

// withSE powers the SE on, which in a new session is never on already, lets do
// use it, and powers it off. The end of the session would do that too, but some
// time after racs has ended: the next one would find the SE in use.
func (p *program) withSE(ctx context.Context, seid string, do func(*racs.Client) error) error {
	return p.withClient(ctx, func(client *racs.Client) error {
		if _, err := client.PowerOn(ctx, seid); err != nil {
			return err
		}
		err := do(client)
		if off := client.Shutdown(ctx, seid); err == nil {
			err = off
		}
		return err
	})
}

// apdu sends the APDUs and prints an answer a line.
func (p *program) apdu(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return usageError("apdu needs a SEID and at least one APDU in hex: racs apdu SEID HEX...|-")
	}
	words, err := p.apduWords(ctx, args[1:])
	if err != nil {
		return err
	}
	commands, err := parseAPDUs(words)
	if err != nil {
		return err
	}
	return p.withSE(ctx, args[0], func(client *racs.Client) error {
		answers, err := client.Batch(ctx, args[0], commands, racs.APDUOptions{})
		lines := make([]string, len(answers))
		for i, answer := range answers {
			lines[i] = p.answerLine(answer)
		}
		if printed := p.printLines(lines...); printed != nil {
			return printed
		}
		return err
	})
}

// answerLine is an answer in hex and, for a person at a terminal, what its status
// word says.
func (p *program) answerLine(answer []byte) string {
	line := fmt.Sprintf("%X", answer)
	if !isTerminal(p.stdout) {
		return line
	}
	if r, err := apdu.ParseResponse(answer); err == nil && r.SW.Name() != "" {
		line += "    " + r.SW.Name()
	}
	return line
}

// apduWords puts the lines of standard input in the place of "-".
func (p *program) apduWords(ctx context.Context, args []string) ([]string, error) {
	at := slices.Index(args, "-")
	if at < 0 {
		return args, nil
	}
	if slices.Contains(args[at+1:], "-") {
		return nil, usageError("- stands for standard input, which can be read once")
	}
	lines, err := readWords(ctx, p.stdin)
	if err != nil {
		return nil, err
	}
	if len(args)+len(lines) == 1 {
		return nil, usageError("no APDU comes from standard input; write one on each line")
	}
	return slices.Replace(slices.Clone(args), at, at+1, lines...), nil
}

// maxInput bounds what is read of standard input, in bytes.
const maxInput = 16 << 20

// readWords reads lines up to the end, but for those that are blank or begin with
// "#". A signal does not wait for it.
func readWords(ctx context.Context, in io.Reader) ([]string, error) {
	var words []string
	read := make(chan error, 1)
	go func() { // ends with the input, or with the program
		limited := &io.LimitedReader{R: in, N: maxInput + 1}
		lines := bufio.NewScanner(limited)
		lines.Buffer(nil, maxInput)
		for lines.Scan() {
			if word := strings.TrimSpace(lines.Text()); word != "" && word[0] != '#' {
				words = append(words, word)
			}
		}
		err := lines.Err()
		if err == nil && limited.N == 0 || errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("more than %d bytes", maxInput)
		}
		read <- err
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case err := <-read:
		if err != nil {
			return nil, usageError(fmt.Sprintf("standard input: %v", err))
		}
		return words, nil
	}
}

// parseAPDUs checks every APDU before anything is sent. Its errors do not
// repeat the digits, which may be a PIN.
func parseAPDUs(args []string) ([][]byte, error) {
	args = joined(args)
	commands := make([][]byte, len(args))
	for i, arg := range args {
		arg = withoutGaps(arg)
		if j := strings.IndexFunc(arg, notHex); j >= 0 {
			return nil, usageError(fmt.Sprintf("APDU %d: character %d is %q; write each APDU as hex digits, two to a byte, without 0x", i+1, j+1, arg[j:j+1]))
		}
		command, err := hex.DecodeString(arg)
		if err != nil {
			return nil, usageError(fmt.Sprintf("APDU %d: %d hex digits; two make a byte, one is missing or too many", i+1, len(arg)))
		}
		if _, err := apdu.Parse(command); err != nil {
			return nil, usageError(fmt.Sprintf("APDU %d: %v", i+1, err))
		}
		commands[i] = command
	}
	return commands, nil
}

// joined makes one APDU of words that are a byte each, as people copy them: none
// of them could be an APDU.
func joined(args []string) []string {
	if len(args) < apdu.MinCommand || slices.ContainsFunc(args, func(arg string) bool { return len(arg) != 2 }) {
		return args
	}
	return []string{strings.Join(args, "")}
}

// withoutGaps leaves out what people and programs write between bytes.
func withoutGaps(arg string) string {
	return strings.NewReplacer(" ", "", "\t", "", ":", "").Replace(arg)
}

func notHex(r rune) bool {
	return !('0' <= r && r <= '9' || 'A' <= r && r <= 'F' || 'a' <= r && r <= 'f')
}

// reset powers the SE on, resets it and prints the ATR.
func (p *program) reset(ctx context.Context, args []string) error {
	warm := len(args) == 2 && strings.EqualFold(args[1], "warm")
	if len(args) != 1 && !warm {
		return usageError("reset needs a SEID, and warm or nothing behind it: racs reset SEID [warm]")
	}
	return p.withSE(ctx, args[0], func(client *racs.Client) error {
		atr, err := client.Reset(ctx, args[0], warm)
		if err != nil {
			return err
		}
		if atr == nil {
			p.say("%s was reset; this server does not tell the ATR", args[0])
			return nil
		}
		return p.printLines(p.atrLines(atr)...)
	})
}

// atrLines is an answer to reset in hex and, for a person at a terminal, what it
// says.
func (p *program) atrLines(atr []byte) []string {
	lines := []string{fmt.Sprintf("%X", atr)}
	if !isTerminal(p.stdout) {
		return lines
	}
	parsed, err := apdu.ParseATR(atr)
	if err != nil {
		return append(lines, "  "+err.Error())
	}
	for line := range strings.Lines(parsed.Describe()) {
		if line = strings.TrimRight(line, "\n"); !strings.HasPrefix(line, "ATR ") {
			lines = append(lines, "  "+line)
		}
	}
	return lines
}
