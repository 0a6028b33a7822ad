package tcp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/eddyloop/eddy/internal/socket"
)

// Adopt has the server accept on a socket that listens already: a
// *net.TCPListener, a *net.UnixListener, or an *os.File as Inherited returns
// it. The server uses a duplicate and closes listener, unless it returns an
// error. Server.Socket is applied to the socket itself, which others may share.
// The file of a Unix socket is not removed at the end. Errors are *net.OpError.
func (srv *Server) Adopt(listener interface {
	syscall.Conn
	io.Closer
}) (net.Addr, error) {
	l, err := srv.adopt(listener)
	if err != nil {
		return nil, listenError("adopted", nil, err)
	}
	if u, ok := listener.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	_ = listener.Close() // the duplicate is what counts
	return l.addr, nil
}

func (srv *Server) adopt(conn syscall.Conn) (*listener, error) {
	if err := srv.Socket.check(); err != nil {
		return nil, err
	}
	fd, err := duplicate(conn)
	if err != nil {
		return nil, err
	}
	l := newListener(srv, fd)
	l.adopted = true
	if err = checkListening(fd); err == nil {
		err = socket.Adopt(fd)
	}
	if err == nil {
		err = srv.Socket.setListening(fd, l.addr)
	}
	if err == nil {
		err = srv.add([]*listener{l})
	}
	if err != nil {
		closeAll([]*listener{l})
		return nil, err
	}
	return l, nil
}

func duplicate(conn syscall.Conn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(n uintptr) { fd, err = socket.Duplicate(int(n)) }); e != nil {
		return -1, e
	}
	return fd, os.NewSyscallError("fcntl", err)
}

// checkListening returns an error for what is not a stream socket that listens.
func checkListening(fd int) error {
	if err := socket.IsStream(fd); err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if !socket.Listening(fd) {
		return fmt.Errorf("%w: the socket does not listen", ErrInvalid)
	}
	return nil
}

// firstInherited is the descriptor that inherited ones begin with.
const firstInherited = 3

// Environment of inherited sockets, after systemd's sd_listen_fds(3). A parent
// cannot know the process id of a child that it has yet to start, so Files
// names the parent's instead.
const (
	envCount  = "LISTEN_FDS"
	envNames  = "LISTEN_FDNAMES"
	envPID    = "LISTEN_PID"
	envParent = "EDDY_LISTEN_PPID"
)

// Inherited returns the listening sockets that the process was started with, by
// systemd (see sd_listen_fds(3)) or by a parent that used Server.Files. Pass
// each to Server.Adopt. The Name of a file is what the service manager calls
// it. If there are none for this process, Inherited returns nil.
//
// The first call takes them: it sets close-on-exec on the descriptors and
// removes the environment variables, so a later call finds none. An error means
// that a descriptor is not what was announced; then the others are closed.
func Inherited() ([]*os.File, error) {
	n, err := inheritedCount()
	names := strings.Split(os.Getenv(envNames), ":")
	for _, name := range []string{envCount, envNames, envPID, envParent} {
		_ = os.Unsetenv(name)
	}
	if n == 0 || err != nil {
		return nil, err
	}
	files := make([]*os.File, n)
	var errs []error
	for i := range files {
		fd, name := firstInherited+i, "inherited"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		err := checkListening(fd)
		if err == nil {
			err = socket.Adopt(fd)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("tcp: inherited descriptor %d: %w", fd, err))
			continue
		}
		files[i] = os.NewFile(uintptr(fd), name)
	}
	if errs != nil {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, errors.Join(errs...)
	}
	return files, nil
}

// inheritedCount returns how many sockets this process has inherited.
func inheritedCount() (int, error) {
	count := os.Getenv(envCount)
	if count == "" || !isMine() {
		return 0, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxInherited {
		return 0, fmt.Errorf("%w: %s=%q", ErrInvalid, envCount, count)
	}
	return n, nil
}

// maxInherited is more than anybody hands on, and keeps a wrong number from
// doing harm.
const maxInherited = 1 << 10

func isMine() bool {
	if pid := os.Getenv(envPID); pid != "" {
		return pid == strconv.Itoa(os.Getpid())
	}
	return os.Getenv(envParent) == strconv.Itoa(os.Getppid())
}

// Files is for a restart that no client notices: it returns duplicates of the
// listening sockets for a new process, and the environment variables with which
// Inherited finds them there. The caller closes the files.
//
//	files, env, err := srv.Files()
//	cmd.ExtraFiles = files
//	cmd.Env = append(os.Environ(), env...)
//	err = cmd.Start() // then close the files
//
// The new process must be a child of this one, and cmd.ExtraFiles must hold
// nothing else. Both processes accept then. When the new one serves, call
// StopListening. Some moments later, when clients that had just connected have
// sent something, call Shutdown. After Files, the server does not remove the
// files of Unix sockets.
func (srv *Server) Files() (files []*os.File, env []string, err error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.cause != nil {
		return nil, nil, ErrServerClosed
	}
	for _, l := range srv.listeners {
		f, err := share(l)
		if err != nil {
			for _, f := range files {
				_ = f.Close()
			}
			return nil, nil, err
		}
		files = append(files, f)
	}
	for _, l := range srv.listeners {
		l.handedOn = true
	}
	return files, []string{
		envCount + "=" + strconv.Itoa(len(files)),
		envParent + "=" + strconv.Itoa(os.Getpid()),
		envPID + "=", // of this process, if it has inherited sockets itself
		envNames + "=",
	}, nil
}

// share returns a duplicate as a file. Its Fd method, which exec.Cmd calls,
// leaves the socket non-blocking, for both processes; that of a file from
// net.TCPListener.File would not.
func share(l *listener) (*os.File, error) {
	fd, err := socket.Duplicate(l.fd)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), l.addr.String()), nil
}
