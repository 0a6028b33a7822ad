//go:build linux

package kqueuesim

import (
	"cmp"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// kindOf looks at a descriptor of the host.
func kindOf(fd int) Kind {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return Other
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		return Regular
	case unix.S_IFIFO:
		switch {
		case IsFIFO(fd) && writesOnly(fd):
			return FIFOWriter
		case IsFIFO(fd):
			return FIFOReader
		case !readsOnly(fd):
			return PipeWriter
		}
		return PipeReader
	case unix.S_IFSOCK:
		if on, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); on != 0 {
			return Listener
		}
		if t, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); t == unix.SOCK_DGRAM {
			return Datagram
		}
		return Stream
	case unix.S_IFCHR:
		switch uint64(st.Rdev) {
		case unix.Mkdev(5, 0):
			return Terminal
		case unix.Mkdev(1, 3), unix.Mkdev(1, 5), unix.Mkdev(1, 9): // null, zero, urandom
			return Null
		}
	}
	return Other
}

// IsFIFO tells a pipe with a name from one without.
func IsFIFO(fd int) bool {
	var st unix.Stat_t
	var fs unix.Statfs_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO && unix.Fstatfs(fd, &fs) == nil && fs.Type != unix.PIPEFS_MAGIC
}

func (h *host) state(fd int) State {
	s := State{Kind: kindOf(fd)}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLRDHUP}}
	unix.Poll(fds, 0)
	got := func(bits int16) bool { return fds[0].Revents&bits != 0 }
	s.Readable, s.Writable = got(unix.POLLIN), got(unix.POLLOUT)
	if n, err := unix.IoctlGetUint32(fd, unix.TIOCINQ); err == nil {
		s.Input = int64(n)
	} else if s.Readable {
		s.Input = 1
	}
	switch s.Kind {
	case Stream:
		s.InputEnded = got(unix.POLLRDHUP)
		s.OutputEnded = got(unix.POLLHUP) && s.InputEnded
		s.stream(fd)
		s.socket(fd, got(unix.POLLERR))
	case Datagram:
		s.socket(fd, got(unix.POLLERR))
	case Listener:
		s.Input = 0
		if s.Readable {
			s.Input = 1
			if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
				s.Input = max(1, int64(info.Unacked)) // the queue's length
			}
		}
	case PipeReader, FIFOReader:
		s.InputEnded = got(unix.POLLHUP)
		s.Readable = s.Input > 0
	case PipeWriter, FIFOWriter:
		s.OutputEnded = got(unix.POLLERR)
		s.Writable = s.Writable && !s.OutputEnded
		if size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0); err == nil {
			s.Room = int64(size) - s.Input
		}
	case Regular:
		s.regular(fd)
	default:
		s.InputEnded = got(unix.POLLHUP)
	}
	return s
}

// socket fills in what all sockets have.
func (s *State) socket(fd int, failed bool) {
	if failed {
		s.Err = uint32(unix.ECONNRESET)
	}
	if size, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF); err == nil && s.Writable {
		queued, _ := unix.IoctlGetUint32(fd, unix.SIOCOUTQ)
		s.Room = max(1, int64(size)-int64(queued))
	}
}

// stream finds out what poll(2) doesn't tell: whether the own side has been
// shut down, and whether there's a connection at all.
func (s *State) stream(fd int) {
	state, ok := tcpState(fd)
	if !ok {
		switch unix.Send(fd, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) {
		case unix.EPIPE:
			s.OutputEnded = true
		case unix.ENOTCONN:
			s.Writable = s.OutputEnded
		}
		return
	}
	switch state {
	case unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2, unix.BPF_TCP_CLOSING,
		unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_TIME_WAIT:
		s.OutputEnded = true
	case unix.BPF_TCP_CLOSE:
		// It was connected if its end has been seen.
		s.Writable = s.OutputEnded
		s.Readable = s.Readable && s.InputEnded
	}
}

// tcpState is the first byte of struct tcp_info, and never 0: then qemu-user has
// taken the first four for a number and turned them round.
func tcpState(fd int) (state byte, ok bool) {
	n, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	var raw [4]byte
	binary.NativeEndian.PutUint32(raw[:], uint32(n))
	return cmp.Or(raw[0], raw[3]), err == nil
}

// regular: the data of EVFILT_READ is what is left behind the position.
func (s *State) regular(fd int) {
	var st unix.Stat_t
	s.Input = 0
	at, err := unix.Seek(fd, 0, unix.SEEK_CUR)
	if err == nil && unix.Fstat(fd, &st) == nil {
		s.Input = st.Size - at
	}
}
