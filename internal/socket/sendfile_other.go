//go:build !linux && !darwin && !dragonfly && !freebsd

package socket

import "errors"

// CanSendFile tells whether there is SendFile.
const CanSendFile = false

// SendFile fails.
func SendFile(int, int, int) (int, error) { return 0, errors.ErrUnsupported }

// CannotSendFile returns true.
func CannotSendFile(error) bool { return true }
