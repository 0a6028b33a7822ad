package socket

// MaxBytes and maxVector are the most bytes and slices that one call sends, maxReceived
// the most that one receives. Answers of 1 MiB cost half as much again if a call sends no
// more than 256 KiB.
const (
	MaxBytes    = 1 << 20
	maxReceived = 256 << 10

	maxVector = 64 // IOV_MAX is 1,024, but a socket buffer is full long before
)

// Attempt returns how many bytes of bufs SendVector tries to write; fewer means
// that the socket can take no more.
func Attempt(bufs [][]byte) int {
	n := 0
	for _, b := range bufs[:min(len(bufs), maxVector)] {
		n += len(b)
	}
	return min(n, MaxBytes)
}
