// Shows how libevent behaves in trouble; see internal/peer/behaviour.go.
#include "../trouble.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

static struct event_base *base;
static bool replied;

static void late(evutil_socket_t fd, short what, void *b)
{
	(void)fd, (void)what;
	replied = true;
	bufferevent_write(b, "late", 4);
}

static void on_event(struct bufferevent *b, short what, void *unused)
{
	struct timeval delay = {.tv_usec = LATE_MS * 1000};
	(void)unused;
	if (trouble == DIAL)
		outcome(what & BEV_EVENT_CONNECTED ? NULL : evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	else if (trouble == LATE && what & BEV_EVENT_EOF) // the client has finished writing
		event_base_once(base, -1, EV_TIMEOUT, late, b, &delay);
	else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(b);
}

static void on_read(struct bufferevent *b, void *unused)
{
	struct evbuffer *out = bufferevent_get_output(b);
	(void)unused;
	replied = trouble != LATE;
	evbuffer_drain(bufferevent_get_input(b), 1);
	if (trouble == BIG)
		evbuffer_add_reference(out, big, sizeof big, NULL, NULL);
	for (int i = 0; trouble == WRITEV && i < SLICES; i++)
		evbuffer_add_reference(out, slices[i], 3, NULL, NULL);
}

// on_drained is called too when the connection is first writable.
static void on_drained(struct bufferevent *b, void *unused)
{
	(void)unused;
	if (replied)
		bufferevent_free(b);
}

static void on_connection(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *a, int n, void *unused)
{
	(void)l, (void)a, (void)n, (void)unused;
	struct bufferevent *b = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(b, on_read, on_drained, on_event, NULL);
	bufferevent_enable(b, EV_READ | EV_WRITE);
}

int main(int argc, char **argv)
{
	parse_trouble(argc, argv);
	base = event_base_new();
	if (trouble == DIAL) {
		struct bufferevent *b = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
		bufferevent_setcb(b, NULL, NULL, on_event, NULL);
		bufferevent_socket_connect(b, (struct sockaddr *)&to, sizeof to);
	} else {
		evconnlistener_new(base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, 0, listen_anywhere());
	}
	return event_base_dispatch(base);
}
