// An echo server on libevent's bufferevents. Reading pauses while more than
// 256 KiB wait to be sent.
#include "../peer.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

enum { HIGH_WATER = 256 << 10 };

static struct event_base *base;

static void on_event(struct bufferevent *b, short what, void *unused)
{
	(void)unused;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(b);
}

static void on_read(struct bufferevent *b, void *unused)
{
	struct evbuffer *in = bufferevent_get_input(b), *out = bufferevent_get_output(b);
	(void)unused;
	if (mode == LINE) {
		for (struct evbuffer_ptr at; (at = evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_LF)).pos >= 0;)
			evbuffer_remove_buffer(in, out, at.pos + 1);
	} else {
		evbuffer_add_buffer(out, in);
	}
	if (evbuffer_get_length(out) > HIGH_WATER)
		bufferevent_disable(b, EV_READ);
}

static void on_drained(struct bufferevent *b, void *unused)
{
	(void)unused;
	if (!(bufferevent_get_enabled(b) & EV_READ))
		bufferevent_enable(b, EV_READ);
}

static void on_connection(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *a, int n, void *unused)
{
	int on = 1;
	(void)l, (void)a, (void)n, (void)unused;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	struct bufferevent *b = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(b, on_read, on_drained, on_event, NULL);
	bufferevent_enable(b, EV_READ | EV_WRITE);
}

int main(int argc, char **argv)
{
	base = event_base_new();
	evconnlistener_new(base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, 0, peer_listen(argc, argv, false));
	return event_base_dispatch(base);
}
