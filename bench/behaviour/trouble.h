// What the programs in C share: their command line, and what they send; see
// internal/peer/behaviour.go.
#pragma once
#include "../server/peer.h"

enum { LATE_MS = 100, SLICES = 1100 };

static enum { LATE, BIG, WRITEV, DIAL } trouble;
static struct sockaddr_in to; // of DIAL
static char big[32 << 20], slices[SLICES][4];

// parse_trouble reads the command line (-mode late|big|writev or -mode dial -to
// HOST:PORT).
static void parse_trouble(int argc, char **argv)
{
	static const char *names[] = {"late", "big", "writev", "dial"};
	char host[64];
	unsigned port;
	for (trouble = LATE; trouble < DIAL && argc > 2 && strcmp(argv[2], names[trouble]);)
		trouble++;
	if (argc == 5 && sscanf(argv[4], "%63[0-9.]:%u", host, &port) == 2 && inet_aton(host, &to.sin_addr)) {
		to.sin_family = AF_INET;
		to.sin_port = htons(port);
	}
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = "0123456789abcdef"[i % 16];
	for (int i = 0; i < SLICES; i++)
		snprintf(slices[i], sizeof slices[i], "%03d", i % 1000);
}

// outcome tells what came of DIAL and ends the program.
static void outcome(const char *error)
{
	printf(error ? "outcome error: %s\n" : "outcome connected\n", error);
	exit(0);
}
