// Shows how libuv behaves in trouble; see internal/peer/behaviour.go.
#include "../trouble.h"
#include <uv.h>

static void closed(uv_handle_t *h) { free(h); }

static void end(uv_stream_t *s)
{
	if (!uv_is_closing((uv_handle_t *)s))
		uv_close((uv_handle_t *)s, closed);
}

static void written(uv_write_t *req, int status)
{
	(void)status;
	end(req->handle);
	free(req);
}

static void reply(uv_stream_t *s, const uv_buf_t *bufs, unsigned n)
{
	if (uv_write(malloc(sizeof(uv_write_t)), s, bufs, n, written))
		end(s);
}

static void late(uv_timer_t *timer)
{
	uv_buf_t buf = uv_buf_init("late", 4);
	reply(timer->data, &buf, 1);
}

static void give(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
	static char scratch[64];
	(void)h, (void)hint;
	*buf = uv_buf_init(scratch, sizeof scratch);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *unused)
{
	static uv_timer_t timer;
	uv_buf_t bufs[SLICES];
	(void)unused;
	if (trouble == LATE && n < 0) { // the client has finished writing
		uv_timer_init(s->loop, &timer);
		timer.data = s;
		uv_timer_start(&timer, late, LATE_MS, 0);
	} else if (n < 0) {
		end(s);
	} else if (trouble == BIG) {
		*bufs = uv_buf_init(big, sizeof big);
		reply(s, bufs, 1);
	} else if (trouble == WRITEV) {
		for (int i = 0; i < SLICES; i++)
			bufs[i] = uv_buf_init(slices[i], 3);
		reply(s, bufs, SLICES);
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	uv_tcp_t *c = calloc(1, sizeof *c);
	uv_tcp_init(listener->loop, c);
	if (status == 0 && !uv_accept(listener, (uv_stream_t *)c))
		uv_read_start((uv_stream_t *)c, give, on_read);
}

static void connected(uv_connect_t *req, int status)
{
	(void)req;
	outcome(status ? uv_strerror(status) : NULL);
}

int main(int argc, char **argv)
{
	uv_tcp_t tcp;
	uv_connect_t req;
	uv_tcp_init(uv_default_loop(), &tcp);
	parse_trouble(argc, argv);
	if (trouble == DIAL) {
		int status = uv_tcp_connect(&req, &tcp, (struct sockaddr *)&to, connected);
		if (status)
			connected(&req, status);
	} else {
		uv_tcp_open(&tcp, listen_anywhere());
		uv_listen((uv_stream_t *)&tcp, 128, on_connection);
	}
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
