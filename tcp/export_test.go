package tcp

// SetAccept replaces the system call of accepting until the returned function is
// called. No server may run then.
func SetAccept(accept func(fd int) (int, error)) (restore func()) {
	old := acceptOwn
	acceptOwn = accept
	return func() { acceptOwn = old }
}
