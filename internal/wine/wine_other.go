//go:build !windows

package wine

func here() bool { return false }
