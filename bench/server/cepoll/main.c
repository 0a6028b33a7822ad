// The practical limit: an echo server by hand on level-triggered epoll, with
// one read buffer for all connections. A connection holds memory only while it
// has the beginning of a line or unsent bytes, and is not read while it has
// unsent ones.
#include "../peer.h"
#include <sys/epoll.h>

enum { EVENTS = 512, SCRATCH = 64 << 10, DESCRIPTORS = 1 << 16 };

struct conn {
	int fd;
	bool writing;         // waits for room in the socket
	char *buf;            // unsent bytes, then the beginning of a line
	size_t unsent, used, cap;
};

static int epoll;
static char scratch[SCRATCH];
static struct conn *everybody[DESCRIPTORS]; // by descriptor, to broadcast to
static int highest;                         // descriptor of them

static void watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = c};
	epoll_ctl(epoll, op, c->fd, &e);
}

static void end(struct conn *c)
{
	everybody[c->fd] = NULL;
	close(c->fd);
	free(c->buf);
	free(c);
}

static void keep(struct conn *c, const char *p, size_t n)
{
	if (c->used + n > c->cap) {
		c->cap = 2 * (c->used + n);
		if (!(c->buf = realloc(c->buf, c->cap)))
			abort();
	}
	memcpy(c->buf + c->used, p, n);
	c->used += n;
}

// sent returns how many bytes the kernel took, or -1 if the connection is gone.
static ssize_t sent(struct conn *c, const char *p, size_t n)
{
	ssize_t done = n ? send(c->fd, p, n, MSG_NOSIGNAL) : 0;
	return done < 0 && errno == EAGAIN ? 0 : done;
}

static void settle(struct conn *c)
{
	bool writing = c->unsent > 0;
	if (writing != c->writing)
		watch(c, EPOLL_CTL_MOD, writing ? EPOLLOUT : EPOLLIN);
	c->writing = writing;
	if (!c->used) {
		free(c->buf);
		c->buf = NULL;
		c->cap = 0;
	}
}

static void drop(struct conn *c, size_t n)
{
	memmove(c->buf, c->buf + n, c->used - n);
	c->used -= n;
}

// queue sends p, or puts it behind what is unsent.
static void queue(struct conn *c, const char *p, size_t n)
{
	ssize_t done = c->unsent ? 0 : sent(c, p, n);
	if (done < 0) {
		shutdown(c->fd, SHUT_RDWR); // its own event ends it
		return;
	}
	if ((n -= done)) {
		size_t begun = c->used - c->unsent;
		keep(c, p + done, n);
		memmove(c->buf + c->unsent + n, c->buf + c->unsent, begun);
		memcpy(c->buf + c->unsent, p + done, n);
		c->unsent += n;
	}
	settle(c);
}

// to_everybody takes lines to be whole when they arrive.
static void to_everybody(const char *p, size_t n)
{
	for (int fd = 0; fd <= highest; fd++)
		if (everybody[fd])
			queue(everybody[fd], p, n);
}

static void readable(struct conn *c)
{
	ssize_t n = recv(c->fd, scratch, sizeof scratch, 0), done;
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			end(c);
		return;
	}
	if (mode == BROADCAST) {
		to_everybody(scratch, n);
		return;
	}
	if (!c->used) { // the common case: nothing is copied
		size_t ready = mode == LINE ? whole_lines(scratch, 0, n) : (size_t)n;
		if ((done = sent(c, scratch, ready)) < 0) {
			end(c);
			return;
		}
		if (done < n) {
			keep(c, scratch + done, n - done);
			c->unsent = ready - done;
		}
	} else {
		size_t before = c->used;
		keep(c, scratch, n);
		size_t ready = whole_lines(c->buf, before, c->used);
		if ((done = sent(c, c->buf, ready)) < 0) {
			end(c);
			return;
		}
		if (ready) {
			c->unsent = ready - done;
			drop(c, done);
		}
	}
	settle(c);
}

static void writable(struct conn *c)
{
	ssize_t done = sent(c, c->buf, c->unsent);
	if (done < 0) {
		end(c);
		return;
	}
	c->unsent -= done;
	drop(c, done);
	settle(c);
}

static void acceptable(int listener)
{
	for (int fd, on = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		struct conn *c = calloc(1, sizeof *c);
		c->fd = fd;
		watch(c, EPOLL_CTL_ADD, EPOLLIN);
		if (mode == BROADCAST) {
			everybody[fd] = c;
			highest = fd > highest ? fd : highest;
			queue(c, "\n", 1);
		}
	}
}

int main(int argc, char **argv)
{
	struct conn listener = {.fd = peer_listen(argc, argv, true)};
	struct epoll_event events[EVENTS];
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (watch(&listener, EPOLL_CTL_ADD, EPOLLIN);;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (c == &listener)
				acceptable(c->fd);
			else if (c->writing)
				writable(c);
			else
				readable(c);
		}
	}
}
