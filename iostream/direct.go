package iostream

import "github.com/eddyloop/eddy/internal/socket"

// A goroutine that reads into a buffer of its own takes what the kernel has by itself, as
// long as the kernel is known to have something: the loop has announced input that no read
// was there for, or the end of the stream, or the last such read came back full. Otherwise it
// waits, and the loop reads for it. So bulk costs one system call a read and no switch, and a
// message that is waited for costs no call in vain. One that writes gives the kernel its bytes
// by itself if none wait before them.
//
// It does so under the stream's lock, as the loop closes the descriptor, so none is closed or
// used anew under the call. Only plain sockets are read and written like that, and what TLS
// over one has received and not handed on: a record is 16 KiB, and many buffers are smaller.

// knowsOfInput reports whether a read into a caller's buffer need not wait for the loop: the
// kernel has input or its end, nothing stands before that, and the stream can be read and is
// not in the hands of the pump.
func (s *Stream) knowsOfInput() bool {
	const hinders = pumping | inputEnded | closing | closed | handshaking | readExpired
	if s.in.len() > 0 || s.state&(attached|hinders) != attached {
		return false
	}
	if s.any(plainSocket) {
		return s.any(unwanted | cameFull | eofSeen)
	}
	t, ok := s.transport.(*tlsTransport)
	return ok && t.Buffered() && isPlainSocket(t.lower)
}

// receive is a read of the transport by a goroutine.
func (s *Stream) receive(p []byte) (int, error) {
	if s.any(plainSocket) {
		return readOutcome(socket.Read(s.socket.FD(), p))
	}
	n, err := s.transport.Read(p)
	if s.transport.(*tlsTransport).tx != nil {
		s.schedule() // it answers the peer
	}
	return n, err
}

// receiveInto reads from the transport into t, until it has its least, which it reports, or
// the transport has no more.
func (s *Stream) receiveInto(t *target) bool {
	for range maxFills {
		room := t.p[t.filled:]
		n, err := s.receive(room)
		if err == ErrWouldBlock {
			s.unset(unwanted | cameFull)
			return false
		} else if err != nil {
			s.readFailed(err)
			s.schedule() // the loop goes on towards the end
			return false
		}
		t.filled += n
		s.noteReceived()
		s.noteFull(n >= min(len(room), maxRead))
		if t.filled >= t.least {
			return true
		}
	}
	return false
}

// straightLimit is the longest write that goes straight to the kernel.
const straightLimit = 64 << 10

// writeStraight writes p to a plain socket before which nothing waits to be sent, and
// reports whether the kernel has taken it whole. Otherwise it returns the write index behind
// what is left of p, which is queued, or -1 if it has done nothing.
//
// It is few frames deep: packages such as net/http start a goroutine for each write, and to
// grow a stack costs more than to write.
func (s *Stream) writeStraight(p []byte) (mark int64, whole bool) {
	const matters = plainSocket | dirty | blocked | inputEnded | outputEnded | finWanted | closing |
		draining | closed | writeExpired
	s.mu.Lock()
	if s.state&matters != plainSocket || s.out != nil || s.op.held || len(p) == 0 || len(p) > straightLimit {
		s.mu.Unlock()
		return -1, false
	}
	s.accepted += int64(len(p))
	n, err := socket.Send(s.socket.FD(), p)
	if n < len(p) {
		s.queueRest(p, n, err)
		mark = s.accepted
	}
	s.mu.Unlock()
	return mark, n == len(p)
}

// queueRest queues what a socket has not taken of p.
func (s *Stream) queueRest(p []byte, n int, err error) {
	if n, err = writeOutcome(n, len(p), err); err == ErrWouldBlock {
		s.set(blocked)
		s.output().borrow(p[n:])
	} else {
		s.output().append(p[n:]) // it counts as not sent
		s.endWriting(err)
	}
	s.afterFlush()
}

// noteFull notes whether a read into a caller's buffer came back full, behind which there is
// usually more.
func (s *Stream) noteFull(full bool) {
	if full {
		s.set(cameFull)
	} else {
		s.unset(cameFull)
	}
}
