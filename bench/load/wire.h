// Connections to the server: plain TCP, or TLS where OpenSSL is installed.
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#if __has_include(<openssl/ssl.h>)
#include <openssl/ssl.h>
#else
typedef void SSL;
#endif

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("load: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	exit(1);
}

#ifdef OPENSSL_VERSION_NUMBER
static SSL_CTX *tls_context;

static inline SSL *tls_connect(int fd)
{
	if (!tls_context && !(tls_context = SSL_CTX_new(TLS_client_method())))
		die("no TLS");
	SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL *ssl = SSL_new(tls_context);
	if (!ssl || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) != 1)
		die("TLS handshake failed");
	return ssl;
}

// tls_result turns OpenSSL's return values into those of recv and send.
static inline ssize_t tls_result(SSL *ssl, int n)
{
	if (n > 0)
		return n;
	int error = SSL_get_error(ssl, n);
	errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
	return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static inline ssize_t wire_recv(int fd, SSL *ssl, void *p, size_t n)
{
	return ssl ? tls_result(ssl, SSL_read(ssl, p, (int)n)) : recv(fd, p, n, 0);
}

static inline ssize_t wire_send(int fd, SSL *ssl, const void *p, size_t n)
{
	return ssl ? tls_result(ssl, SSL_write(ssl, p, (int)n)) : send(fd, p, n, MSG_NOSIGNAL);
}

static inline int wire_pending(SSL *ssl) { return ssl && SSL_pending(ssl) > 0; }
#else
static inline SSL *tls_connect(int fd) { die("built without OpenSSL (%d)", fd); }
static inline int wire_pending(SSL *ssl) { return ssl != NULL; }

static inline ssize_t wire_recv(int fd, SSL *ssl, void *p, size_t n)
{
	(void)ssl;
	return recv(fd, p, n, 0);
}

static inline ssize_t wire_send(int fd, SSL *ssl, const void *p, size_t n)
{
	(void)ssl;
	return send(fd, p, n, MSG_NOSIGNAL);
}
#endif

// wire_connect connects from one of many loopback addresses in turn, so that
// connections in TIME_WAIT do not use up the ports of one.
static inline int wire_connect(const struct sockaddr_in *server)
{
	static unsigned turn;
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in from = {.sin_family = AF_INET};
	from.sin_addr.s_addr = htonl(0x7f000001 + turn++ % 250);
	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) ||
	    bind(fd, (struct sockaddr *)&from, sizeof from) ||
	    connect(fd, (const struct sockaddr *)server, sizeof *server) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
		die("connecting: %s", strerror(errno));
	return fd;
}
