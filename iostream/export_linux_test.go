package iostream

// Piped returns how many of the bytes that wait to be sent are in a pipe.
func Piped(s *Stream) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.elsewhere()
}

// Splices reports whether a relay that reads the stream moves bulk by itself now. Only for
// the stream's loop.
func Splices(s *Stream) bool { return s.splicesNext() }
