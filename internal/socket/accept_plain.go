//go:build windows || (unix && (!linux || race || eddy_plain))

package socket

// Accept takes the next connection of a listener that nobody else has, and tells
// who has connected.
func Accept(fd int) (int, Address, error) { return accept(fd) }
