package iostream

// watchClocks starts what bounds a stream in time, at the end of its turn: a Close, a
// message of which a part is here, sending that has to wait. A stream with none of that
// costs nothing.
func (s *Stream) watchClocks() {
	switch {
	case s.any(closed):
	case s.any(closing):
		s.watchClosing()
	default:
		s.watchMessage()
		s.watchSending()
	}
}

// watchMessage has the clock run while a part of a message is here that a read waits
// for. Each read begins anew.
func (s *Stream) watchMessage() {
	if s.config.MessageTimeout <= 0 {
		return
	}
	if !s.reading() || !s.hasPart() {
		s.unset(inMessage)
		return
	}
	if s.any(inMessage) {
		return
	}
	s.set(inMessage)
	m := s.ensureDetails()
	if m.message == nil {
		m.message = new(alarm)
	}
	m.message.ringAt(s, s.loop.Now()+s.config.MessageTimeout, (*Stream).checkMessage)
}

// hasPart reports whether a part of a message is here.
func (s *Stream) hasPart() bool {
	return s.in.len() > 0 || s.op.placed() > 0 || s.holdsIncomplete()
}

func (s *Stream) checkMessage() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.details.message.rings(s.loop) && s.any(inMessage) && !s.any(closing|closed) {
		s.closeInOrder(ErrMessageTimeout)
	}
}

// watchSending has a clock run while the transport takes no more. It runs also if nothing waits
// to be sent, as when a write was taken back: a later write is only queued then, which starts
// no clock.
func (s *Stream) watchSending() {
	if s.config.SendTimeout <= 0 || !s.any(blocked) {
		return
	}
	m := s.ensureDetails()
	if m.sending == nil {
		m.sending = new(stall)
	}
	if !m.sending.looking {
		m.sending.looking = true
		m.sending.start(s, s.config.SendTimeout, s.checkSending)
	}
}

func (s *Stream) checkSending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.details.sending
	switch {
	case s.any(closing|closed) || !s.any(blocked):
		st.looking = false
	case s.backlog() == 0:
		st.lookOn()
	case st.over(s):
		s.abort(ErrSendTimeout)
	}
}
