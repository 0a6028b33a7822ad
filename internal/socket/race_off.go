//go:build !race

package socket

//lint:ignore U1000 of systems whose calls are the same with and without the race detector
func beforeSend() {}

//lint:ignore U1000 as above
func afterReceive() {}
