package iostream

import (
	"bytes"
	"testing"

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
