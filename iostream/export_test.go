//go:build unix || windows

package iostream

// KnowsOfInput reports whether a read into a buffer would not wait for the loop.
func KnowsOfInput(s *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knowsOfInput()
}

// InMessage reports whether the time of a message runs.
func InMessage(s *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any(inMessage)
}
