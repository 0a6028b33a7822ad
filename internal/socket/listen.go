//go:build unix

package socket

import (
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Listening reports whether a socket is one that listens.
func Listening(fd int) bool {
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && on != 0
}

// Listen returns a socket that listens on addr, or an *os.SyscallError. Setup,
// if not nil, sees it before it is bound.
//
// TCP: SO_REUSEADDR, so that a restart does not wait for old connections; an
// address without IP takes IPv4 too, or IPv4 alone where there is no IPv6.
// Unix: a socket file that nobody listens on is removed first. Of several who find
// one, one gets its name; on Solaris and AIX, which have no flock, two may take
// it from each other. Descriptors that a client sends (SCM_RIGHTS) are refused
// where the kernel can (Linux 6.16): whoever receives without asking for them has
// to release them, which can take the kernel as long as the client likes.
func Listen(addr net.Addr, backlog int, setup func(fd int) error) (int, error) {
	sa, domain, err := Sockaddr(addr)
	if err != nil {
		return -1, os.NewSyscallError("bind", err)
	}
	fd, err := Stream(domain)
	if a, ok := addr.(*net.TCPAddr); ok && err == unix.EAFNOSUPPORT && len(a.IP) == 0 {
		return Listen(&net.TCPAddr{IP: net.IPv4zero, Port: a.Port}, backlog, setup)
	}
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if setup != nil {
		err = setup(fd)
	}
	if err == nil {
		err = bindAndListen(fd, sa, domain, addr, backlog)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// bindAndListen locks the directory of a Unix socket: whoever finds a socket there
// that refuses connections takes its name, so nobody may be between bind and
// listen then, or between finding and taking.
func bindAndListen(fd int, sa unix.Sockaddr, domain int, addr net.Addr, backlog int) error {
	if a, ok := sa.(*unix.SockaddrUnix); ok && a.Name[0] != '@' {
		unlock, err := lockDirectory(filepath.Dir(a.Name))
		if err != nil {
			return os.NewSyscallError("flock", err)
		}
		defer unlock()
		ignoreRights(fd)
	}
	if err := bind(fd, sa, domain, addr); err != nil {
		return err
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

func bind(fd int, sa unix.Sockaddr, domain int, addr net.Addr) error {
	switch domain {
	case unix.AF_UNIX:
		return os.NewSyscallError("bind", bindUnix(fd, sa))
	case unix.AF_INET6:
		only := 1
		if len(addr.(*net.TCPAddr).IP) == 0 {
			only = 0
		}
		// OpenBSD has no dual-stack sockets and refuses 0.
		err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
		if err != nil && only == 1 {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// bindUnix takes over a stale socket file: one that refuses connections.
func bindUnix(fd int, sa unix.Sockaddr) error {
	err := unix.Bind(fd, sa)
	name := sa.(*unix.SockaddrUnix).Name
	if err != unix.EADDRINUSE || name[0] == '@' || !stale(name, sa) {
		return err
	}
	if err := unix.Unlink(name); err != nil {
		return err
	}
	return unix.Bind(fd, sa)
}

func stale(name string, sa unix.Sockaddr) bool {
	var st unix.Stat_t
	if unix.Lstat(name, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return false
	}
	fd, err := Stream(unix.AF_UNIX)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, sa) == unix.ECONNREFUSED
}

// File returns the file of a Unix socket that listens on addr, nil if it has
// none.
func File(addr net.Addr) os.FileInfo {
	a, ok := addr.(*net.UnixAddr)
	if !ok || a.Name == "" || a.Name[0] == '@' {
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
		_ = unix.Unlink(addr.String())
	}
}

// AcceptShared is Accept for a listener that others have too. O_NONBLOCK is
// theirs as well, and they may have taken it away: os.File.Fd does.
func AcceptShared(fd int) (int, Address, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return -1, Address{}, err
	}
	return accept(fd)
}
