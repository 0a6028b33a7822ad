//go:build openbsd || aix || solaris

package socket

// setKeepAlive: the times are the whole system's.
func (o *Options) setKeepAlive(int) error { return nil }
