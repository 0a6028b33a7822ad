// An echo server on libuv: one read buffer for all connections, and a uv_write
// for what uv_try_write leaves.
#include "../peer.h"
#include <uv.h>

struct conn {
	uv_tcp_t tcp;
	char *line; // the beginning of a line
	size_t used;
};

struct unsent {
	uv_write_t req;
	char bytes[];
};

static char scratch[64 << 10];

static void give(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
	(void)h, (void)hint;
	*buf = uv_buf_init(scratch, sizeof scratch);
}

static void freed(uv_handle_t *h)
{
	free(((struct conn *)h)->line);
	free(h);
}

static void end(uv_stream_t *s)
{
	if (!uv_is_closing((uv_handle_t *)s))
		uv_close((uv_handle_t *)s, freed);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf);

static void written(uv_write_t *req, int status)
{
	if (status < 0)
		end(req->handle);
	else
		uv_read_start(req->handle, give, on_read);
	free(req);
}

// echo sends p; while some of it is unsent, the connection is not read.
static void echo(uv_stream_t *s, const char *p, size_t n)
{
	uv_buf_t buf = uv_buf_init((char *)p, n);
	int done = uv_try_write(s, &buf, 1);
	if (done < 0 && done != UV_EAGAIN) {
		end(s);
		return;
	}
	size_t rest = n - (done < 0 ? 0 : done);
	if (!rest)
		return;
	struct unsent *u = malloc(sizeof *u + rest);
	memcpy(u->bytes, p + n - rest, rest);
	buf = uv_buf_init(u->bytes, rest);
	uv_read_stop(s);
	if (uv_write(&u->req, s, &buf, 1, written))
		end(s);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = (struct conn *)s;
	if (n < 0) {
		end(s);
		return;
	}
	if (mode == RAW) {
		if (n > 0)
			echo(s, buf->base, n);
		return;
	}
	size_t ready = whole_lines(buf->base, 0, n);
	if (ready && c->used) { // the line that had begun
		c->line = realloc(c->line, c->used + ready);
		memcpy(c->line + c->used, buf->base, ready);
		echo(s, c->line, c->used + ready);
		free(c->line);
		c->line = NULL;
		c->used = 0;
	} else if (ready) {
		echo(s, buf->base, ready);
	}
	if (ready < (size_t)n) {
		c->line = realloc(c->line, c->used + n - ready);
		memcpy(c->line + c->used, buf->base + ready, n - ready);
		c->used += n - ready;
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct conn *c = calloc(1, sizeof *c);
	uv_tcp_init(listener->loop, &c->tcp);
	if (status < 0 || uv_accept(listener, (uv_stream_t *)&c->tcp)) {
		end((uv_stream_t *)&c->tcp);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	uv_read_start((uv_stream_t *)&c->tcp, give, on_read);
}

int main(int argc, char **argv)
{
	uv_tcp_t listener;
	uv_tcp_init(uv_default_loop(), &listener);
	uv_tcp_open(&listener, peer_listen(argc, argv, false));
	uv_listen((uv_stream_t *)&listener, 4096, on_connection);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
