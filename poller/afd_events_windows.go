package poller

// afdMask is what to poll for.
func (s *slot) afdMask() (m uint32) {
	const broken = afdAbort | afdConnectFail
	if s.state&fired != 0 {
		return 0
	}
	if s.interest&Readable != 0 {
		m |= afdReceive | afdAccept | afdDisconnect | broken
	}
	if s.interest&Writable != 0 {
		m |= afdSend | broken
	}
	if s.interest&PeerClosed != 0 { // told once, and once more if it fails
		if s.state&toldClosed == 0 {
			m |= afdDisconnect | broken
		} else if s.state&toldFailed == 0 {
			m |= broken
		}
	}
	if m != 0 {
		m |= afdLocalClose
	}
	return m
}

// decodeAfd gives the driver's conditions a meaning, as decode does for epoll.
func decodeAfd(got uint32) (found Interest, hints Hint) {
	if got&(afdReceive|afdAccept) != 0 {
		found |= Readable
	}
	if got&afdSend != 0 {
		found |= Writable
	}
	if got&afdDisconnect != 0 {
		found |= Readable | PeerClosed
	}
	if got&(afdAbort|afdConnectFail) != 0 {
		found |= Readable | Writable | PeerClosed
		hints |= Failed | Hangup
	}
	return found, hints
}
