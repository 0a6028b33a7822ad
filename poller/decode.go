//go:build linux || aix || solaris

package poller

import "golang.org/x/sys/unix"

// decode gives the flags of poll(2) a meaning, which are those of epoll, too.
// Hang-up and error come unasked: they make ready what is wanted, so that nothing
// is reported in every wait without anyone acting on it.
func decode(flags uint32, wanted Interest) (found Interest, hints Hint) {
	if flags&unix.POLLIN != 0 {
		found |= Readable
	}
	if flags&unix.POLLOUT != 0 {
		found |= Writable
	}
	if flags&pollRDHup != 0 {
		found |= PeerClosed
	}
	if flags&unix.POLLHUP != 0 {
		hints |= Hangup
		found |= Readable | PeerClosed
		if wanted&Readable == 0 {
			found |= Writable
		}
	}
	if flags&unix.POLLERR != 0 {
		hints |= Failed
		found |= Readable | Writable | PeerClosed
	}
	return found, hints
}
