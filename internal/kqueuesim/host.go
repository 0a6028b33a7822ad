//go:build linux

package kqueuesim

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// host are the descriptors of this process. Two epoll sets, edge-triggered,
// notice what happens, for reading and for writing: in one, an edge of either
// direction would be one of both. The set for reading has the other one and
// the flag in it, so that it stands for the whole.
type host struct {
	reading, writing int
	flag             int // an eventfd, readable while knotes are activated
	raised           bool
	events           [64]unix.EpollEvent
}

// Descriptors in the first set that are no knotes; those have numbers from 1.
const hostOwn = 0

func newHost() (*host, error) {
	h := &host{reading: -1, writing: -1, flag: -1}
	var err error
	if h.reading, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		if h.writing, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
			h.flag, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		}
	}
	for _, fd := range []int{h.writing, h.flag} {
		if err == nil {
			ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: hostOwn}
			err = unix.EpollCtl(h.reading, unix.EPOLL_CTL_ADD, fd, &ev)
		}
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *host) fd() int { return h.reading }

func (h *host) close() error {
	for _, fd := range []int{h.reading, h.writing, h.flag} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	h.reading = -1
	return nil
}

// identify goes by device and inode, which sockets and pipes have of their
// own. The two ends of a pipe share theirs and differ in how they are open.
func (h *host) identify(fd int) (identity, error) {
	var st unix.Stat_t
	if fd < 0 || fd == h.writing || fd == h.flag || unix.Fstat(fd, &st) != nil {
		return identity{}, syscall.EBADF // a kqueue has one descriptor only
	}
	id := identity{uint64(st.Dev), st.Ino}
	if st.Mode&unix.S_IFMT == unix.S_IFIFO && readsOnly(fd) {
		id.a |= 1 << 63
	}
	return id, nil
}

func readsOnly(fd int) bool {
	flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return flags&unix.O_ACCMODE == unix.O_RDONLY
}

func writesOnly(fd int) bool {
	flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return flags&unix.O_ACCMODE == unix.O_WRONLY
}

func (h *host) set(reading bool) (set int, mask uint32) {
	if reading {
		return h.reading, unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
	}
	return h.writing, unix.EPOLLOUT | unix.EPOLLET
}

func (h *host) watch(n *knote, reading bool) error {
	set, mask := h.set(reading)
	ev := unix.EpollEvent{Events: mask, Fd: int32(n.id)}
	err := unix.EpollCtl(set, unix.EPOLL_CTL_ADD, int(n.ident), &ev)
	switch err {
	case unix.EEXIST: // closed behind our back, and its duplicate came back
		err = unix.EpollCtl(set, unix.EPOLL_CTL_MOD, int(n.ident), &ev)
	case unix.EPERM:
		if kind := kindOf(int(n.ident)); kind == Regular || kind == Null {
			return nil // nothing ever happens to it
		}
		return syscall.EINVAL
	}
	return err
}

func (h *host) forget(n *knote, reading bool) {
	if file, err := h.identify(int(n.ident)); err == nil && file == n.file {
		set, _ := h.set(reading)
		unix.EpollCtl(set, unix.EPOLL_CTL_DEL, int(n.ident), nil)
	}
}

func (h *host) noticed(ids []uint32) []uint32 {
	for _, set := range [...]int{h.reading, h.writing} {
		for {
			n, err := unix.EpollWait(set, h.events[:], 0)
			if err != nil && err != unix.EINTR {
				break
			}
			for _, ev := range h.events[:max(n, 0)] {
				if ev.Fd != hostOwn {
					ids = append(ids, uint32(ev.Fd))
				}
			}
			if err == nil && n < len(h.events) {
				break
			}
		}
	}
	return ids
}

func (h *host) signal(pending bool) {
	if pending == h.raised {
		return
	}
	h.raised = pending
	buf := [8]byte{0: 1, 7: 1} // not 0 in either byte order
	if pending {
		unix.Write(h.flag, buf[:])
	} else {
		unix.Read(h.flag, buf[:])
	}
}

func (h *host) block(timeout time.Duration) error {
	var limit *unix.Timespec
	if timeout >= 0 {
		ts := unix.NsecToTimespec(int64(timeout))
		limit = &ts
	}
	fds := []unix.PollFd{{Fd: int32(h.reading), Events: unix.POLLIN}}
	_, err := unix.Ppoll(fds, limit, nil)
	return err
}
