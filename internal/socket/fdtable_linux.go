package socket

import (
	"math/bits"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The kernel doubles a process's table of descriptors when the table is full. In a
// process of several threads it then waits for a grace period of RCU, some 10 to 20 ms
// (expand_files in fs/file.c), in the call that wanted one more descriptor: a loop that
// accepts would stand still. So a goroutine makes the table larger long before.

// tableSize is for how many descriptors the table has been made, or is about to be.
var tableSize atomic.Int64

const minTable = 1024 // 8 KiB

// expectMore says that fd is in use, and that more may be soon.
func expectMore(fd int) {
	size := tableSize.Load()
	if int64(fd) < size/4 {
		return
	}
	want := max(minTable, 4<<bits.Len(uint(fd)))
	if tableSize.CompareAndSwap(size, int64(want)) {
		go growTable(want)
	}
}

// growTable has the kernel make room for n descriptors, or as many as there may be. It does
// so for the number that dup3 is to use, before it sees that there is nothing to duplicate.
func growTable(n int) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && uint64(n) > limit.Cur {
		n = int(limit.Cur)
	}
	_ = unix.Dup3(-1, n-1, unix.O_CLOEXEC)
}
