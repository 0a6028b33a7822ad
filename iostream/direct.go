package iostream

// A goroutine that reads into a buffer of its own takes what the kernel has by itself, as
// long as the kernel is known to have something: the loop has announced input that no read
// was there for, or the last such read came back full. Otherwise it waits, and the loop
// reads for it. So bulk costs one system call a read and no switch, and a message that is
// waited for costs no call in vain.
//
// It does so under the stream's lock, as the loop closes the descriptor, so none is closed or
// used anew under the call. Only plain sockets are read like that.

// knowsOfInput reports whether a read into a caller's buffer need not wait for the loop: the
// kernel has input, nothing stands before that, and the stream is open and not in the hands
// of the pump.
func (s *Stream) knowsOfInput() bool {
	const irrelevant = served | handling | noLinger | dirty | scheduled | unwanted | blocked | cameFull | inMessage
	return s.any(unwanted|cameFull) && s.state&^irrelevant == attached|plainSocket && s.in.len() == 0
}

// receiveInto reads from the transport into t, until it has its least or the transport
// has no more.
func (s *Stream) receiveInto(t *target) {
	for range maxFills {
		room := t.p[t.filled:]
		n, err := s.transport.Read(room)
		if err == ErrWouldBlock {
			s.unset(unwanted | cameFull)
			return
		} else if err != nil {
			s.readFailed(err)
			s.schedule() // the loop goes on towards the end
			return
		}
		t.filled += n
		s.noteReceived()
		s.noteFull(n >= min(len(room), maxRead))
		if t.filled >= t.least {
			return
		}
	}
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
