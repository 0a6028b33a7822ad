// Keeps an echo server busy from one thread of bare epoll, verifies every byte
// that comes back, and prints one line of JSON: messages, latencies, and the
// CPU time that the server has used for them.
//
// echo, closed loop: each active connection has a batch of depth messages in
// flight and sends the next when all are back. With a rate: messages are due
// at fixed times, and latency counts from then, whether or not the server (or
// this program) was ready for them.
// churn: connect, one message, close; latency is that of all three.
// broadcast: the first connection sends, everybody must receive.
// dribble: lines of size bytes, sent in pieces at a fixed rate; messages are
// the pieces, latency that of the last one's echo.
#define _GNU_SOURCE
#include "account.h"
#include "hist.h"
#include "wire.h"
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum { SPAN = 256 << 10, EVENTS = 512 };
enum mode { ECHO, CHURN, BROADCAST, DRIBBLE };

struct conn {
	int fd;
	bool blocked; // waits for room in the socket
	SSL *ssl;
	uint64_t start;          // where in the pattern its bytes begin
	uint64_t due, sent, got; // bytes
	int64_t since;           // when the batch was due
};

static struct {
	enum mode mode;
	struct sockaddr_in server;
	uint64_t conns, active, size, depth, piece;
	const char *delim;
	double rate, warmup, seconds;
	int pid;
	bool tls;
} opt = {.mode = ECHO, .conns = 100, .size = 64, .depth = 1, .piece = 64, .delim = "\n",
	 .warmup = 0.3, .seconds = 1};

static struct conn *conns;
static int epoll;
static char *pattern, buffer[SPAN];
static uint64_t period;    // of the pattern, in bytes
static uint64_t messages;  // in this measurement
static uint64_t delivered; // of the present broadcast
static uint64_t ticks;     // of the fixed rate
static int64_t began;      // when tick 0 was due
static struct hist hist;

static int64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }

// fill_pattern writes messages that differ, each ending in the delimiter, so
// that an echo to the wrong connection or out of order is seen.
static void fill_pattern(void)
{
	size_t end = strlen(opt.delim);
	uint64_t count = opt.size > 32 << 10 ? 1 : (64 << 10) / opt.size | 1;
	period = count * opt.size;
	pattern = malloc(period + SPAN);
	uint32_t random = 12345;
	for (uint64_t i = 0; i < period; i++) {
		random = random * 1664525 + 1013904223;
		pattern[i] = 'A' + (random >> 16) % 26;
	}
	for (uint64_t i = opt.size; i <= period; i += opt.size)
		memcpy(pattern + i - end, opt.delim, end);
	for (uint64_t i = 0; i < SPAN; i++)
		pattern[period + i] = pattern[i % period];
}

static void watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = c};
	if (epoll_ctl(epoll, op, c->fd, &e))
		die("epoll_ctl: %s", strerror(errno));
}

static void open_conn(struct conn *c)
{
	c->fd = wire_connect(&opt.server);
	c->ssl = opt.tls ? tls_connect(c->fd) : NULL;
	char greeting;
	if (opt.mode == BROADCAST && wire_recv(c->fd, c->ssl, &greeting, 1) != 1)
		die("no greeting: the server does not broadcast");
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	c->blocked = false;
	c->due = c->sent = c->got = 0;
	watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void flush(struct conn *c)
{
	while (c->sent < c->due) {
		uint64_t n = c->due - c->sent;
		ssize_t sent = wire_send(c->fd, c->ssl, pattern + (c->start + c->sent) % period, n < SPAN ? n : SPAN);
		if (sent < 0 && errno == EAGAIN)
			break;
		if (sent < 0)
			die("send: %s", strerror(errno));
		c->sent += sent;
	}
	bool blocked = c->sent < c->due;
	if (blocked != c->blocked)
		watch(c, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
	c->blocked = blocked;
}

static void send_batch(struct conn *c, int64_t when)
{
	c->since = when;
	c->due += opt.depth * opt.size;
	flush(c);
}

static void reconnect(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->since = now();
	open_conn(c);
	c->due = opt.size;
	flush(c);
}

// completed accounts for the messages from number first on that are back.
static void completed(struct conn *c, uint64_t first, uint64_t count, int64_t when)
{
	if (opt.mode != DRIBBLE)
		messages += count;
	if (opt.mode == ECHO && opt.rate > 0) {
		for (uint64_t i = first; i < first + count; i++)
			hist_record(&hist, when - began - (int64_t)((i * opt.active + (c - conns)) / opt.rate * 1e9), 1);
		return;
	}
	hist_record(&hist, when - (opt.mode == BROADCAST ? conns : c)->since, count);
	switch (opt.mode) {
	case ECHO:
		if (c->got == c->due)
			send_batch(c, when);
		break;
	case CHURN:
		reconnect(c);
		break;
	case BROADCAST:
		if ((delivered += count) == opt.conns * opt.depth) {
			delivered = 0;
			send_batch(conns, when);
		}
		break;
	case DRIBBLE:
		began = when;
		ticks = 0;
		break;
	}
}

static void receive(struct conn *c)
{
	do {
		ssize_t n = wire_recv(c->fd, c->ssl, buffer, sizeof buffer);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			die("connection ended: %s", n ? strerror(errno) : "end of stream");
		if (memcmp(buffer, pattern + (c->start + c->got) % period, n))
			die("wrong echo at byte %llu", (unsigned long long)c->got);
		uint64_t first = c->got / opt.size;
		c->got += n;
		uint64_t count = c->got / opt.size - first;
		if (count)
			completed(c, first, count, now());
	} while (wire_pending(c->ssl));
}

// tick sends what the fixed rate says is due by now.
static void tick(void)
{
	for (uint64_t want = 1 + (now() - began) / 1e9 * opt.rate; ticks < want; ticks++) {
		struct conn *c = conns + (opt.mode == ECHO ? ticks % opt.active : 0);
		if (opt.mode == ECHO) {
			c->due += opt.size;
		} else {
			uint64_t left = opt.size - c->due % opt.size;
			if (c->due % opt.size == 0 && c->due > c->got)
				return; // the line is out, its echo is not back
			c->due += left < opt.piece ? left : opt.piece;
			c->since = now();
			messages++;
		}
		flush(c);
	}
}

static void run(double seconds, bool progress)
{
	struct epoll_event events[EVENTS];
	int64_t from = now(), end = from + (int64_t)(seconds * 1e9), shown = from;
	for (int64_t at = from; at < end; at = now()) {
		if (opt.rate > 0)
			tick();
		int n = epoll_wait(epoll, events, EVENTS, opt.rate > 0 ? 0 : 100);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (events[i].events & EPOLLOUT)
				flush(c);
			if (events[i].events & ~EPOLLOUT)
				receive(c);
		}
		if (progress && at - shown > 200000000) {
			int done = (int)((at - from) / 1e7 / seconds * 0.4);
			fprintf(stderr, "\r[%.*s%*s] %.1f of %.0f s, %.0f messages/s ", done,
				"########################################", 40 - done, "", (at - from) / 1e9,
				seconds, messages / ((at - from) / 1e9));
			shown = at;
		}
	}
	if (progress)
		fprintf(stderr, "\r%*s\r", 100, "");
}

// await_accepts has one connection of its own served. Servers accept in order,
// so all before it have been accepted, and the backlog is empty.
static void await_accepts(void)
{
	int fd = wire_connect(&opt.server);
	SSL *ssl = opt.tls ? tls_connect(fd) : NULL;
	if (wire_send(fd, ssl, pattern, opt.size) != (ssize_t)opt.size)
		die("send: %s", strerror(errno));
	for (uint64_t got = 0; got < opt.size;) {
		ssize_t n = wire_recv(fd, ssl, buffer, sizeof buffer);
		if (n <= 0)
			die("connection ended while others were opened");
		got += n;
	}
	close(fd);
}

static void begin(void)
{
	conns = calloc(opt.conns, sizeof *conns);
	for (uint64_t i = 0; i < opt.conns; i++) {
		conns[i].fd = -1;
		conns[i].start = opt.mode == BROADCAST ? 0 : i * opt.size % period;
		if (opt.mode != CHURN)
			open_conn(conns + i);
		if (opt.mode == ECHO && i % 1000 == 999)
			await_accepts();
	}
	began = now();
	for (uint64_t i = 0; i < opt.active && opt.rate == 0; i++) {
		if (opt.mode == CHURN)
			reconnect(conns + i);
		else if (opt.mode == ECHO || i == 0)
			send_batch(conns + i, now());
	}
}

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
	"            [-w warm-up seconds] [-t seconds] [-p server's process id] [-T (TLS)]\n";

static void parse(int argc, char **argv)
{
	for (int o; (o = getopt(argc, argv, "a:m:c:A:s:d:D:g:r:w:t:p:T")) != -1;) {
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

int main(int argc, char **argv)
{
	parse(argc, argv);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	fill_pattern();
	begin();
	run(opt.warmup, false);
	messages = 0;
	memset(&hist, 0, sizeof hist);
	struct account a = account_now(opt.pid);
	run(opt.seconds, opt.seconds >= 5 && isatty(2));
	struct account b = account_now(opt.pid);
	double wall = b.wall - a.wall, server = b.server - a.server, client = b.client - a.client;
	printf("{\"messages\":%llu,\"seconds\":%.6f,\"server_cpu\":%.6f,\"client_cpu\":%.6f,"
	       "\"foreign\":%.3f,\"steal\":%.3f,\"latency\":",
	       (unsigned long long)messages, wall, server, client, (b.busy - a.busy - server - client) / wall,
	       (b.steal - a.steal) / wall);
	hist_print(&hist, stdout);
	puts("}");
	return 0;
}
