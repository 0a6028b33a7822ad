//go:build unix

package ioloop_test

import (
	"os"
	"syscall"
)

// fault reads a mapped page of a file that has been cut off.
func fault() {
	f, err := os.CreateTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.Remove(f.Name())
	if err := f.Truncate(4096); err != nil {
		panic(err)
	}
	page, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	_ = f.Truncate(0)
	sink = page[0]
}

var sink byte
