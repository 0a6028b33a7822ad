//go:build unix && !aix

package socket

// pollBits is the type of the events of poll(2).
type pollBits = int16
