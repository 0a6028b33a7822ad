//go:build unix && !(linux || freebsd || netbsd || dragonfly || darwin)

package socket

// setKeepAlive: the times are the whole system's.
func (o *Options) setKeepAlive(int) error { return nil }
