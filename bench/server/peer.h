// What the servers in C share: their command line, the listening socket, and
// the search for whole lines.
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static enum { RAW, LINE, BROADCAST } mode;

// listen_anywhere listens on a free port of 127.0.0.1 and announces it.
static int listen_anywhere(void)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof addr;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, size) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&addr, &size)) {
		perror("listen");
		exit(1);
	}
	printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return fd;
}

// peer_listen reads the command line (-mode raw|line|broadcast) and listens.
static inline int peer_listen(int argc, char **argv, bool broadcasts)
{
	static const char *names[] = {"raw", "line", "broadcast"};
	bool known = argc == 3 && !strcmp(argv[1], "-mode");
	for (mode = RAW; known && mode <= BROADCAST && strcmp(argv[2], names[mode]);)
		mode++;
	if (!known || mode > (broadcasts ? BROADCAST : LINE)) {
		fprintf(stderr, "no mode or option %s\n", argv[argc - 1]);
		exit(3);
	}
	signal(SIGPIPE, SIG_IGN);
	return listen_anywhere();
}

// whole_lines returns how many bytes of p[0..n) are whole lines, looking at
// each of them; none begins to end before from.
static inline size_t whole_lines(const char *p, size_t from, size_t n)
{
	size_t end = 0;
	for (const char *nl; (nl = memchr(p + from, '\n', n - from)); from = end)
		end = nl - p + 1;
	return end;
}
