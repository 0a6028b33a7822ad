// Keeps an echo server busy from one thread of bare epoll, verifies every byte
// that comes back, and prints one line of JSON: messages, latencies, and the
// CPU time that the server has used for them.
//
// It works in slices. A slice begins with nothing in flight and an idle server
// and ends so: all that was sent is back, and the server's CPU time stands
// still. So a slice's CPU time is that of its messages, to the nanosecond. With
// -i, the slices are those that standard input asks for; between them the
// connections stay open and the program sleeps, so that several servers can
// take turns.
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
#include "options.h"
#include "wire.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum { SPAN = 256 << 10, EVENTS = 512 };

struct conn {
	int fd;
	bool blocked; // waits for room in the socket
	SSL *ssl;
	uint64_t start;          // where in the pattern its bytes begin
	uint64_t due, sent, got; // bytes
	int64_t since;           // when the batch was due
};

static struct conn *conns;
static int epoll;
static char *pattern, buffer[SPAN];
static uint64_t period;    // of the pattern, in bytes
static uint64_t messages;  // in this slice
static uint64_t awaited;   // bytes that are to come back
static bool draining;      // the slice is over: nothing new is sent
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
	uint64_t n = opt.depth * opt.size;
	c->since = when;
	c->due += n;
	awaited += opt.mode == BROADCAST ? n * opt.conns : n;
	flush(c);
}

static void connect_and_send(struct conn *c)
{
	int64_t when = now();
	open_conn(c);
	send_batch(c, when);
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
		if (c->got == c->due && !draining)
			send_batch(c, when);
		break;
	case CHURN:
		close(c->fd);
		if (!draining)
			connect_and_send(c);
		break;
	case BROADCAST:
		if ((delivered += count) == opt.conns * opt.depth) {
			delivered = 0;
			if (!draining)
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
		awaited -= n;
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
		uint64_t n = opt.size;
		if (opt.mode == DRIBBLE) {
			uint64_t left = opt.size - c->due % opt.size;
			if (left == opt.size && c->due > c->got)
				return; // the line is out, its echo is not back
			n = left < opt.piece ? left : opt.piece;
			c->since = now();
			messages++;
		}
		c->due += n;
		awaited += n;
		flush(c);
	}
}

// turn waits for events, at most the given milliseconds, and handles them.
static void turn(int timeout)
{
	static struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll, events, EVENTS, timeout);
	for (int i = 0; i < n; i++) {
		struct conn *c = events[i].data.ptr;
		if (events[i].events & EPOLLOUT)
			flush(c);
		if (events[i].events & ~EPOLLOUT)
			receive(c);
	}
}

// start sends the first messages of a slice or, at a fixed rate, has the next
// be due now.
static void start(int64_t when)
{
	draining = false;
	if (opt.rate > 0)
		began = when - (int64_t)(ticks / opt.rate * 1e9);
	for (uint64_t i = 0; i < opt.active && opt.rate == 0; i++) {
		if (opt.mode == CHURN)
			connect_and_send(conns + i);
		else if (opt.mode == ECHO || i == 0)
			send_batch(conns + i, now());
	}
}

// drain waits until everything is back. A line that has only begun to dribble
// is not: its end is not sent yet.
static void drain(void)
{
	draining = true;
	for (int64_t end = now() + 10000000000; awaited && (opt.mode != DRIBBLE || conns->due % opt.size == 0);) {
		if (now() > end)
			die("%llu bytes have not come back", (unsigned long long)awaited);
		turn(100);
	}
}

static void show(double done, double seconds)
{
	int width = (int)(done / seconds * 40);
	fprintf(stderr, "\r[%.*s%*s] %.1f of %.0f s, %.0f messages/s ", width,
		"########################################", 40 - width, "", done, seconds, messages / done);
}

// run sends and receives for some time, and returns how long it was until the
// last message was back.
static double run(double seconds, bool progress)
{
	int64_t from = now(), end = from + (int64_t)(seconds * 1e9), shown = from;
	start(from);
	for (int64_t at = from; at < end; at = now()) {
		if (opt.rate > 0)
			tick();
		turn(opt.rate > 0 ? 0 : 100);
		if (progress && at - shown > 200000000) {
			show((at - from) / 1e9, seconds);
			shown = at;
		}
	}
	if (progress)
		fprintf(stderr, "\r%*s\r", 100, "");
	drain();
	return (now() - from) / 1e9;
}

// settle waits until the server is idle: its CPU time stands still for longer
// than a tick of the scheduler's, which is when that of a running thread is
// accounted for.
static void settle(void)
{
	double before, after = server_cpu(opt.pid);
	int tries = 40;
	do {
		before = after;
		usleep(5000);
		after = server_cpu(opt.pid);
	} while (after > before && --tries);
}

// slice warms up, measures, and prints what it saw.
static void slice(double lead, double seconds)
{
	if (lead > 0)
		run(lead, false);
	settle();
	messages = 0;
	memset(&hist, 0, sizeof hist);
	struct account a = account_now(opt.pid);
	double took = run(seconds, seconds >= 5 && isatty(2));
	settle();
	struct account b = account_now(opt.pid);
	double server = b.server - a.server, client = b.client - a.client, wall = b.wall - a.wall;
	printf("{\"messages\":%llu,\"seconds\":%.6f,\"server_cpu\":%.9f,\"client_cpu\":%.9f,"
	       "\"foreign\":%.3f,\"steal\":%.3f,\"latency\":",
	       (unsigned long long)messages, took, server, client, (b.busy - a.busy - server - client) / wall,
	       (b.steal - a.steal) / wall);
	hist_print(&hist, stdout);
	puts("}");
	fflush(stdout);
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
		conns[i].start = opt.mode == BROADCAST ? 0 : i * opt.size % period;
		if (opt.mode != CHURN)
			open_conn(conns + i);
		if (opt.mode == ECHO && i % 1000 == 999)
			await_accepts();
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
	if (!opt.asked) {
		slice(opt.warmup, opt.seconds);
		return 0;
	}
	puts("ready");
	fflush(stdout);
	for (double lead, seconds; scanf("%lf %lf", &lead, &seconds) == 2;)
		slice(lead, seconds);
	return 0;
}
