package iostream

import (
	"math/bits"
	"sync"
	"unsafe"
)

// Buffers come from pools by size, powers of two from minPooled to maxPooled.
// Larger ones are made and left to the garbage collector.
const (
	minPooled = 512
	maxPooled = 64 << 10
)

var pools [8]sync.Pool // of *byte, the first of minPooled<<i: a slice would have to be allocated

func poolIndex(size int) int { return bits.Len(uint((size - 1) / minPooled)) }

// getBuffer returns an empty buffer with room for at least size bytes.
func getBuffer(size int) []byte {
	if size > maxPooled {
		return make([]byte, 0, size)
	}
	i := poolIndex(size)
	if first, ok := pools[i].Get().(*byte); ok {
		return unsafe.Slice(first, minPooled<<i)[:0]
	}
	return make([]byte, 0, minPooled<<i)
}

// putBuffer takes back a buffer that nobody uses any more.
func putBuffer(b []byte) {
	size := cap(b)
	if size < minPooled || size > maxPooled || size&(size-1) != 0 {
		return
	}
	pools[poolIndex(size)].Put(unsafe.SliceData(b))
}
