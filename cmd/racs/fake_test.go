package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
)

// serveRACS plays a server with one SE of each temper. The credential decides
// what it lists: blind sees none, calm one that is well.
//
//	well    does what it is told; APDUs are answered by their P1 P2 as data
//	plain   well, but the texts have no ATR
//	busy    another session has it          empty   has no card
//	locked  refuses APDUs by policy         mute    never answers an APDU
//	gone    the server closes the connection at an APDU
//	stuck   cannot be powered off           vanish  gone, at POWERON
func serveRACS(config *tls.Config) func(net.Conn) {
	return func(raw net.Conn) {
		conn := tls.Server(raw, config)
		if conn.Handshake() != nil {
			return // racs says why
		}
		defer conn.Close()
		s := &session{conn: conn, who: conn.ConnectionState().PeerCertificates[0].Subject.CommonName}
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if !s.take(strings.Fields(lines.Text())) {
				return
			}
		}
	}
}

// evil is what a terminal would act upon and a status line may hold: C1 as UTF-8
// and in eight bits, a change of direction, and what cannot be seen.
const evil = "\u009b2J\x9b2J\u202egnp.\u200b"

// hangUp is a server that closes behind the handshake without a word.
func hangUp(config *tls.Config) func(net.Conn) {
	return func(raw net.Conn) {
		conn := tls.Server(raw, config)
		if conn.Handshake() == nil {
			conn.Close()
		}
	}
}

type session struct {
	conn  net.Conn
	who   string
	open  bool
	skips bool // to END, behind an error
	quits bool
	line  int
	kept  []string // results with APPEND
	last  []string // the last result if it had none
}

// take takes one line. False ends the session.
func (s *session) take(words []string) bool {
	switch {
	case len(words) == 0:
		return true
	case !s.open && words[0] == "BEGIN":
		*s = session{conn: s.conn, who: s.who, open: true}
		s.kept = []string{"BEGIN " + strings.Join(words[1:], " ")}
		return true
	case !s.open:
		fmt.Fprint(s.conn, "BEGIN \r\n-300 000 a line outside of a request\r\nEND\r\n")
		return false
	case words[0] == "END":
		if !s.skips {
			s.answer(s.last...)
		}
		s.open = false
		return !s.quits
	case s.skips:
		return true
	}
	s.line++
	status, ok := s.command(append(words, "", ""))
	if !ok {
		return false
	}
	result := fmt.Sprintf("%s %03d %s", status[:4], s.line, strings.TrimSpace(status[4:]))
	switch {
	case status[0] == '-':
		s.answer(result)
		s.skips = true
	case words[len(words)-1] == "APPEND":
		s.kept, s.last = append(s.kept, result), nil
	default:
		s.last = []string{result}
	}
	return true
}

func (s *session) answer(last ...string) {
	fmt.Fprint(s.conn, strings.Join(append(append(s.kept, last...), "END"), "\r\n"), "\r\n")
}

// command is the status and text of one command; false for the end.
func (s *session) command(words []string) (string, bool) {
	seid := words[1]
	switch verb := words[0]; {
	case s.who == "hostile" && verb != "SHUTDOWN":
		return map[string]string{
			"GET-VERSION": "+002 0.3" + evil, "LIST": "+004 well" + evil, "POWERON": "-808 " + evil + strings.Repeat("long ", 10000),
			"ECHO": "+009 " + evil, "QUIT": "+012 " + evil,
		}[verb], true
	case verb == "GET-VERSION":
		return "+002 0.3", true
	case verb == "LIST" && s.who == "barred":
		return "-604 LIST refused by policy", true
	case verb == "LIST":
		return "+004 " + s.list(), true
	case verb == "ECHO":
		return "+009 " + seid, true
	case verb == "QUIT":
		s.quits = true
		return "+012 bye", true
	case verb != "POWERON" && verb != "SHUTDOWN" && verb != "RESET" && verb != "APDU":
		return "-100 unknown command " + verb, true
	}
	return s.onSE(words[0], seid, words[2])
}

func (s *session) list() string {
	switch s.who {
	case "crowd":
		return strings.Repeat("well ", 2000)
	case "blind":
		return ""
	case "calm":
		return "well "
	case "unlucky":
		return "stuck vanish well "
	}
	return "well plain busy empty locked "
}

func (s *session) onSE(verb, seid, arg string) (string, bool) {
	switch verb + " " + seid {
	case "POWERON busy":
		return "-708 busy is in use by alice", true
	case "POWERON empty":
		return "-808 empty: no card", true
	case "POWERON stuck":
		return "+008 stuck is powered on", true
	case "SHUTDOWN stuck":
		return "-807 the power switch does not answer", true
	case "POWERON vanish":
		return "", false
	case "POWERON plain":
		return "+008 SEID plain has been powered on", true
	case "RESET plain":
		return "+005 SEID plain has been reset", true
	case "SHUTDOWN plain":
		return "+007 SEID plain has been powered off", true
	case "APDU locked":
		return "-606 APDU refused by policy", true
	case "APDU mute":
		io.Copy(io.Discard, s.conn) // until the client goes
		return "", false
	case "APDU gone":
		return "", false
	}
	if !strings.Contains("well locked mute gone", seid) {
		return "-4" + map[string]string{"POWERON": "08", "RESET": "05", "APDU": "06", "SHUTDOWN": "07"}[verb] + " no SE named " + seid, true
	}
	switch verb {
	case "POWERON":
		return "+008 " + seid + " is powered on, ATR 3B8001", true
	case "SHUTDOWN":
		return "+007 " + seid + " is powered off", true
	case "RESET":
		if arg == "WARM" {
			return "+005 " + seid + " was reset (warm), ATR 3B8002", true
		}
		return "+005 " + seid + " was reset (cold), ATR 3B8001", true
	}
	return "+006 " + arg[4:8] + "9000", true
}
