//go:build !windows

package wine

// Here reports whether the program runs under wine.
func Here() bool { return false }
