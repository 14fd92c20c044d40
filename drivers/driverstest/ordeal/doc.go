// Package ordeal shows that nothing goes wrong: it sends random command APDUs
// through a driver while its wire and its secure element fail in all ways that
// the test's simulator knows, and holds three things: each answer is the right
// one or an error, no command is executed twice, and the driver is usable
// afterwards.
package ordeal
