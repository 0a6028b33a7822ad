package iostream

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// What of a large write has been sent gives its memory back while the rest waits.
func TestOutputGivesBackWhatIsSent(t *testing.T) {
	var q output
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	held := func() (n int) {
		for _, c := range q.chunks {
			n += cap(c)
		}
		return n
	}
	q.append(data)
	require.LessOrEqual(t, held(), len(data)+chunkSize)
	var sent []byte
	for q.size > 0 {
		piece := bytes.Join(q.slices(nil), nil)
		piece = piece[:min(len(piece), 30_000)]
		sent = append(sent, piece...)
		require.Zero(t, q.consume(len(piece)))
		require.LessOrEqual(t, held(), q.size+2*chunkSize)
	}
	require.True(t, bytes.Equal(data, sent))
}

// A queue that has been dropped is another stream's next.
func TestDropForgetsWhatIsReserved(t *testing.T) {
	q := new(output)
	q.append([]byte("abc"))
	q.reserved, q.size = 2, q.size+2
	q.unsent = 1
	require.True(t, q.isReserved())
	q.drop()
	require.False(t, q.isReserved())
	require.Zero(t, q.size)
	require.Zero(t, q.queued())
	require.True(t, q.idle())
}

// A write of just a chunk is one.
func TestOutputOfWholeChunks(t *testing.T) {
	for n := 1; n <= 3; n++ {
		var q output
		q.append(make([]byte, n*chunkSize))
		require.Len(t, q.chunks, n)
		q.append([]byte("x"))
		require.Len(t, q.chunks, n+1)
	}
}

// Small writes share a chunk of up to chunkSize, and none shares a borrowed one.
func TestOutputSharesChunks(t *testing.T) {
	for name, test := range map[string]struct {
		pieces []int
		want   []int
	}{
		"in one with room":          {[]int{100, 100}, []int{200}},
		"in one that grows":         {[]int{512, 100}, []int{612}},
		"up to the size of a chunk": {[]int{chunkSize / 2, chunkSize / 2}, []int{chunkSize}},
		"not beyond it":             {[]int{chunkSize / 2, chunkSize/2 + 1}, []int{chunkSize / 2, chunkSize/2 + 1}},
	} {
		var q output
		for _, n := range test.pieces {
			q.append(make([]byte, n))
		}
		require.Equal(t, test.want, lengths(&q), name)
	}
	var q output
	q.append(make([]byte, 100))
	require.True(t, q.squeeze([]byte("x")))
	lent := make([]byte, corkLimit+1)
	q.borrow(lent)
	q.append([]byte("x"))
	require.Equal(t, []int{101, corkLimit + 1, 1}, lengths(&q))
	require.True(t, q.isBorrowed(q.chunks[1]))
	require.Equal(t, corkLimit+1, q.lent())
}

func lengths(q *output) (n []int) {
	for _, c := range q.chunks {
		n = append(n, len(c))
	}
	return n
}

// A stream that writes little again and again uses one chunk.
func TestOutputUsesItsSpareChunk(t *testing.T) {
	var q output
	q.append([]byte("first"))
	first := unsafe.SliceData(q.chunks[0])
	for range 3 {
		q.consume(q.size)
		q.append([]byte("next"))
		require.Equal(t, first, unsafe.SliceData(q.chunks[0]))
	}
	q.consume(q.size)
	q.append(make([]byte, 600)) // for which it is too small
	require.Equal(t, 1024, cap(q.chunks[0]))
	require.Nil(t, q.spare)
}
