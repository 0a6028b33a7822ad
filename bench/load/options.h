// The command line of the load generator.
#pragma once
#include "wire.h"
#include <getopt.h>
#include <stdbool.h>

enum mode { ECHO, CHURN, BROADCAST, DRIBBLE };

static struct {
	enum mode mode;
	struct sockaddr_in server;
	uint64_t conns, active, size, depth, piece;
	const char *delim;
	double rate, warmup, seconds;
	int pid;
	bool tls, asked; // slices are asked for
} opt = {.mode = ECHO, .conns = 100, .size = 64, .depth = 1, .piece = 64, .delim = "\n",
	 .warmup = 0.3, .seconds = 1};

static void parse_addr(const char *text)
{
	char host[64];
	unsigned port;
	if (sscanf(text, "%63[0-9.]:%u", host, &port) != 2 || !inet_aton(host, &opt.server.sin_addr) || port > 65535)
		die("not an IPv4 address and port: %s", text);
	opt.server.sin_family = AF_INET;
	opt.server.sin_port = htons(port);
}

static enum mode parse_mode(const char *text)
{
	static const char *names[] = {"echo", "churn", "broadcast", "dribble"};
	for (int i = 0; i < 4; i++)
		if (!strcmp(text, names[i]))
			return i;
	die("no such mode: %s", text);
}

static const char usage[] =
	"usage: load -a HOST:PORT [-m echo|churn|broadcast|dribble] [-c connections] [-A active]\n"
	"            [-s bytes] [-d depth] [-D delimiter] [-g bytes of a piece] [-r messages a second]\n"
	"            [-w warm-up seconds] [-t seconds] [-p server's process id] [-T (TLS)]\n"
	"            [-i (instead of -w and -t, which lines of standard input tell: WARM-UP SECONDS)]\n";

// parse reads the command line into opt.
static void parse(int argc, char **argv)
{
	for (int o; (o = getopt(argc, argv, "a:m:c:A:s:d:D:g:r:w:t:p:Ti")) != -1;) {
		switch (o) {
		case 'a': parse_addr(optarg); break;
		case 'm': opt.mode = parse_mode(optarg); break;
		case 'c': opt.conns = strtoull(optarg, NULL, 10); break;
		case 'A': opt.active = strtoull(optarg, NULL, 10); break;
		case 's': opt.size = strtoull(optarg, NULL, 10); break;
		case 'd': opt.depth = strtoull(optarg, NULL, 10); break;
		case 'D': opt.delim = optarg; break;
		case 'g': opt.piece = strtoull(optarg, NULL, 10); break;
		case 'r': opt.rate = strtod(optarg, NULL); break;
		case 'w': opt.warmup = strtod(optarg, NULL); break;
		case 't': opt.seconds = strtod(optarg, NULL); break;
		case 'p': opt.pid = atoi(optarg); break;
		case 'T': opt.tls = true; break;
		case 'i': opt.asked = true; break;
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (!opt.active)
		opt.active = opt.conns;
	if (!opt.server.sin_port || !opt.conns || opt.active > opt.conns || !opt.depth || !opt.piece ||
	    opt.size < strlen(opt.delim) || opt.rate < 0 || (opt.mode == DRIBBLE) > (opt.rate > 0) ||
	    (opt.mode == DRIBBLE && opt.conns > 1)) {
		fputs(usage, stderr);
		exit(2);
	}
}
