//go:build aix || solaris || windows

package socket

import "time"

func lockDirectory(string, time.Duration) (unlock func(), err error) { return func() {}, nil }
