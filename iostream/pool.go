package iostream

import (
	"math/bits"
	"sync"
)

// Buffers come from pools by size, powers of two from minPooled to maxPooled.
// Larger ones are made and left to the garbage collector.
const (
	minPooled = 512
	maxPooled = 64 << 10
)

var pools [8]sync.Pool // of *[]byte with capacity minPooled<<i

// headers spares the allocation of a slice header for each buffer that goes
// back.
var headers = sync.Pool{New: func() any { return new([]byte) }}

func poolIndex(size int) int { return bits.Len(uint((size - 1) / minPooled)) }

// getBuffer returns an empty buffer with room for at least size bytes.
func getBuffer(size int) []byte {
	if size > maxPooled {
		return make([]byte, 0, size)
	}
	i := poolIndex(size)
	if header, ok := pools[i].Get().(*[]byte); ok {
		b := *header
		*header = nil
		headers.Put(header)
		return b
	}
	return make([]byte, 0, minPooled<<i)
}

// putBuffer takes back a buffer that nobody uses any more.
func putBuffer(b []byte) {
	size := cap(b)
	if size < minPooled || size > maxPooled || size&(size-1) != 0 {
		return
	}
	header := headers.Get().(*[]byte)
	*header = b[:0]
	pools[poolIndex(size)].Put(header)
}
