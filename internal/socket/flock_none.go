//go:build aix || solaris

package socket

func lockDirectory(string) (unlock func(), err error) { return func() {}, nil }
