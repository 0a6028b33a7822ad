//go:build unix

// Package posix is those calls of POSIX that tests make of the kernel, past the
// code that is tested. Windows has them over Winsock, where a descriptor is a handle.
package posix

import "golang.org/x/sys/unix"

type (
	Sockaddr      = unix.Sockaddr
	SockaddrInet4 = unix.SockaddrInet4
	SockaddrUnix  = unix.SockaddrUnix
	PollFd        = unix.PollFd
)

const (
	SHUT_RD         = unix.SHUT_RD
	SHUT_WR         = unix.SHUT_WR
	POLLIN          = unix.POLLIN
	POLLOUT         = unix.POLLOUT
	POLLHUP         = unix.POLLHUP
	POLLERR         = unix.POLLERR
	SOCK_STREAM     = unix.SOCK_STREAM
	SOCK_DGRAM      = unix.SOCK_DGRAM
	AF_INET         = unix.AF_INET
	AF_UNIX         = unix.AF_UNIX
	SOL_SOCKET      = unix.SOL_SOCKET
	SO_LINGER       = unix.SO_LINGER
	SO_ERROR        = unix.SO_ERROR
	SO_RCVBUF       = unix.SO_RCVBUF
	SO_SNDBUF       = unix.SO_SNDBUF
	IPPROTO_TCP     = unix.IPPROTO_TCP
	TCP_NODELAY     = unix.TCP_NODELAY
	ESOCKTNOSUPPORT = unix.ESOCKTNOSUPPORT
	SO_KEEPALIVE    = unix.SO_KEEPALIVE
	MSG_PEEK        = unix.MSG_PEEK
	O_RDONLY        = unix.O_RDONLY
	O_WRONLY        = unix.O_WRONLY
	O_RDWR          = unix.O_RDWR
	O_NONBLOCK      = unix.O_NONBLOCK
	EAGAIN          = unix.EAGAIN
	EINTR           = unix.EINTR
	EPIPE           = unix.EPIPE
	EBADF           = unix.EBADF
	ECONNRESET      = unix.ECONNRESET
	ECONNREFUSED    = unix.ECONNREFUSED
	EINPROGRESS     = unix.EINPROGRESS
	ENOTSOCK        = unix.ENOTSOCK
)

var (
	Write         = unix.Write
	Read          = unix.Read
	Shutdown      = unix.Shutdown
	Accept        = unix.Accept
	Close         = unix.Close
	Socket        = unix.Socket
	Connect       = unix.Connect
	Bind          = unix.Bind
	Listen        = unix.Listen
	Getsockname   = unix.Getsockname
	Sendto        = unix.Sendto
	Recvfrom      = unix.Recvfrom
	Dup           = unix.Dup
	Open          = unix.Open
	Mkfifo        = unix.Mkfifo
	Socketpair    = unix.Socketpair
	Pipe          = unix.Pipe
	Poll          = unix.Poll
	SetNonblock   = unix.SetNonblock
	CloseOnExec   = unix.CloseOnExec
	SetsockoptInt = unix.SetsockoptInt
	GetsockoptInt = unix.GetsockoptInt
)

// SetLinger sets SO_LINGER: close waits for so many seconds, with 0 it resets.
func SetLinger(fd, seconds int) error {
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: int32(seconds)})
}

// HasUnixSockets tells whether the system has Unix sockets.
func HasUnixSockets() bool { return true }

// UnderWine tells whether the system is wine, which is not Windows in all.
func UnderWine() bool { return false }
