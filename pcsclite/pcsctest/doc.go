// Package pcsctest runs the PC/SC programs of the field, as they come, against
// a socket of pcsc-lite's protocol, whoever serves it and whatever card is
// behind. Programs that are not installed skip their test by name; with
// TSES_TEST_ALL=1 in the environment that is a failure.
package pcsctest
