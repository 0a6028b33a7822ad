//go:build netbsd || openbsd

package poller

// userFilter is no filter. Releases that are in use have no user events.
const userFilter = 0x7fff

func newWaker(kernelQueue) (waker, error) { return newPipeWaker() }
