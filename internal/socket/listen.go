//go:build unix || windows

package socket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockPatience is how long a lock that others hold for moments is waited for.
const lockPatience = 5 * time.Second

// Listening reports whether a socket is one that listens.
func Listening(fd int) bool {
	on, err := getInt(fd, syscall.SOL_SOCKET, soAcceptConn)
	return err == nil && on != 0
}

// Listen returns a socket that listens on addr, or an *os.SyscallError. Setup,
// if not nil, sees it before it is bound.
//
// TCP: SO_REUSEADDR, so that a restart does not wait for old connections, but not on
// Windows, where they are in nobody's way and it would let two sockets have one
// address. An address without IP takes IPv4 too, or IPv4 alone where there is no IPv6.
// Unix: a socket file that nobody listens on is removed first. Of several who find
// one, one gets its name; on Solaris, AIX and Windows, which have no flock, two may
// take it from each other. Descriptors that a client sends (SCM_RIGHTS) are refused
// where the kernel can (Linux 6.16): whoever receives without asking for them has
// to release them, which can take the kernel as long as the client likes.
func Listen(addr net.Addr, backlog int, setup func(fd int) error) (int, error) {
	sa, domain, err := Sockaddr(addr)
	if err != nil {
		return -1, os.NewSyscallError("bind", err)
	}
	fd, err := Stream(domain)
	if a, ok := addr.(*net.TCPAddr); ok && errors.Is(err, syscall.EAFNOSUPPORT) && len(a.IP) == 0 {
		return Listen(&net.TCPAddr{IP: net.IPv4zero, Port: a.Port}, backlog, setup)
	}
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	expectMore(fd)
	if setup != nil {
		err = setup(fd)
	}
	if err == nil {
		err = bindAndListen(fd, sa, domain, addr, backlog)
	}
	if err != nil {
		_ = Close(fd)
		return -1, err
	}
	return fd, nil
}

// bindAndListen locks the directory of a Unix socket: whoever finds a socket there
// that refuses connections takes its name, so nobody may be between bind and
// listen then, or between finding and taking.
func bindAndListen(fd int, sa syscall.Sockaddr, domain int, addr net.Addr, backlog int) error {
	if a, ok := addr.(*net.UnixAddr); ok && hasFile(a.Name) {
		unlock, err := lockDirectory(filepath.Dir(a.Name), lockPatience)
		if err != nil {
			return os.NewSyscallError("flock", err)
		}
		defer unlock()
	}
	if err := bind(fd, sa, domain, addr); err != nil {
		return err
	}
	return os.NewSyscallError("listen", fault(syscall.Listen(handle(fd), backlog)))
}

func bind(fd int, sa syscall.Sockaddr, domain int, addr net.Addr) error {
	switch domain {
	case syscall.AF_UNIX:
		ignoreRights(fd)
		return os.NewSyscallError("bind", bindUnix(fd, sa))
	case syscall.AF_INET6:
		only := 1
		if len(addr.(*net.TCPAddr).IP) == 0 {
			only = 0
		}
		// OpenBSD has no dual-stack sockets and refuses 0.
		err := set(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, only)
		if err != nil && only == 1 {
			return err
		}
	}
	if reuseAddress {
		if err := set(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
			return err
		}
	}
	return os.NewSyscallError("bind", fault(syscall.Bind(handle(fd), sa)))
}

// bindUnix takes over a stale socket file: one that refuses connections.
func bindUnix(fd int, sa syscall.Sockaddr) error {
	err := fault(syscall.Bind(handle(fd), sa))
	name := sa.(*syscall.SockaddrUnix).Name
	if !errors.Is(err, syscall.EADDRINUSE) || !hasFile(name) || !stale(name, sa) {
		return err
	}
	if err := syscall.Unlink(name); err != nil {
		return err
	}
	return fault(syscall.Bind(handle(fd), sa))
}

func stale(name string, sa syscall.Sockaddr) bool {
	if file, err := os.Lstat(name); err != nil || file.Mode()&os.ModeSocket == 0 {
		return false
	}
	fd, err := Stream(syscall.AF_UNIX)
	if err != nil {
		return false
	}
	defer Close(fd)
	return errors.Is(connect(fd, sa), syscall.ECONNREFUSED)
}

// hasFile reports whether the name of a Unix socket is one of the file system's:
// abstract names, which are not, are Linux's alone.
func hasFile(name string) bool { return name != "" && (name[0] != '@' || unnamed == "") }

// File returns the file of a Unix socket that listens on addr, nil if it has
// none.
func File(addr net.Addr) os.FileInfo {
	a, ok := addr.(*net.UnixAddr)
	if !ok || !hasFile(a.Name) {
		return nil
	}
	file, err := os.Lstat(a.Name)
	if err != nil {
		return nil
	}
	return file
}

// RemoveFile removes the file of a Unix socket, as File returned it, unless
// another has taken its place.
func RemoveFile(addr net.Addr, file os.FileInfo) {
	if now := File(addr); now != nil && os.SameFile(file, now) {
		_ = syscall.Unlink(addr.String())
	}
}

// AcceptShared is Accept for a listener that others have too. O_NONBLOCK is
// theirs as well, and they may have taken it away: os.File.Fd does.
func AcceptShared(fd int) (int, Address, error) {
	if err := setNonblock(fd); err != nil {
		return -1, Address{}, err
	}
	conn, peer, err := accept(fd)
	if err == nil {
		expectMore(conn)
	}
	return conn, peer, err
}
