//go:build unix && (!linux || race || eddy_plain)

package socket

// Accept takes the next connection of a listener that nobody else has.
func Accept(fd int) (int, error) { return accept(fd) }
