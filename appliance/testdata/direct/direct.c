/*
 * A program of libpcsclite that sends commands to a card, as a program on the
 * host does that needs no TSES:
 *
 *	direct READER COUNT HEX...
 *
 * sends each command COUNT times. READER is the name of a reader, "" the first
 * one. It says what the last answer to each was, and from when to when it sent
 * them, in seconds of CLOCK_MONOTONIC.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winscard.h>

enum { MOST = 4 + 3 + 65536 + 3 + 2 };

static void check(const char *what, LONG rv)
{
	if (rv != SCARD_S_SUCCESS) {
		printf("program: %s: %s\n", what, pcsc_stringify_error(rv));
		exit(1);
	}
}

static DWORD parse(const char *hex, BYTE *command)
{
	DWORD n = 0;
	unsigned byte;

	for (; n < MOST && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		command[n] = byte;
	return n;
}

static void say(const char *what, const BYTE *bytes, DWORD n)
{
	printf("program: %s", what);
	for (DWORD i = 0; i < n; i++)
		printf("%02X", bytes[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	static BYTE command[MOST], response[MOST];
	char readers[4096], what[64];
	BYTE atr[MAX_ATR_SIZE];
	DWORD readers_len = sizeof readers, active, atr_len = sizeof atr, len = 0;
	SCARDCONTEXT context;
	SCARDHANDLE card;
	struct timespec began, ended;

	if (argc < 4) {
		fprintf(stderr, "usage: direct READER COUNT HEX...\n");
		return 2;
	}
	check("establish", SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context));
	check("list", SCardListReaders(context, NULL, readers, &readers_len));
	const char *reader = *argv[1] ? argv[1] : readers;
	check("connect", SCardConnect(context, reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY, &card, &active));
	check("status", SCardStatus(card, NULL, NULL, NULL, NULL, atr, &atr_len));
	printf("program: reader %s\n", reader);
	say("ATR ", atr, atr_len);

	const SCARD_IO_REQUEST *pci = active == SCARD_PROTOCOL_T0 ? SCARD_PCI_T0 : SCARD_PCI_T1;
	long count = atol(argv[2]);
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (int i = 3; i < argc; i++) {
		DWORD n = parse(argv[i], command);
		for (long k = 0; k < count; k++) {
			len = sizeof response;
			check("transmit", SCardTransmit(card, pci, command, n, NULL, response, &len));
		}
		snprintf(what, sizeof what, "%lu bytes: ", (unsigned long)len);
		say(what, response, len < 16 ? len : 16);
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	printf("program: from %lld.%09ld to %lld.%09ld\n", (long long)began.tv_sec, began.tv_nsec, (long long)ended.tv_sec, ended.tv_nsec);

	check("reconnect", SCardReconnect(card, SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY, SCARD_RESET_CARD, &active));
	check("disconnect", SCardDisconnect(card, SCARD_UNPOWER_CARD));
	check("release", SCardReleaseContext(context));
	return 0;
}
