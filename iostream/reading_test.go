package iostream

// Reading reports whether a read is pending.
func (s *Stream) Reading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.op.kind != readNone
}

// InputCapacity returns the size of the stream's input buffer.
func InputCapacity(s *Stream) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cap(s.in.data)
}
