//go:build !unix && !windows

package socket

import (
	"errors"
	"time"
)

func SetReadBuffer(int, int) error                                   { return errors.ErrUnsupported }
func SetWriteBuffer(int, int) error                                  { return errors.ErrUnsupported }
func SetLinger(int, int) error                                       { return errors.ErrUnsupported }
func SetKeepAlive(int, bool) error                                   { return errors.ErrUnsupported }
func SetKeepAliveTimes(int, time.Duration, time.Duration, int) error { return errors.ErrUnsupported }
func CloseRead(int) error                                            { return errors.ErrUnsupported }
func AwaitReady(int, bool, time.Duration) error                      { return errors.ErrUnsupported }
