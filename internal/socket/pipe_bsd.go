//go:build unix && !linux

package socket

// fionread is FIONREAD, the same on every BSD and macOS.
const fionread = 0x4004667f
