//go:build unix

package poller

// waker is a file that a backend watches to be woken.
type waker interface {
	// fd is the descriptor to watch for reading.
	fd() int

	// wake makes the descriptor readable, again if it is so already. It never
	// blocks.
	wake() error

	// drain is called when the wake-up has been seen.
	drain()

	// owns tells whether fd is one of the waker's descriptors.
	owns(fd int) bool

	close()
}
