package iostream

// Reading reports whether a read is pending.
func (s *Stream) Reading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.op.kind != readNone
}
