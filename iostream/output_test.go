package iostream

import (
	"bytes"
	"math/rand/v2"
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
		require.Same(t, first, unsafe.SliceData(q.chunks[0]))
	}
	q.consume(q.size)
	q.append(make([]byte, 600)) // for which it is too small
	require.Equal(t, 1024, cap(q.chunks[0]))
	require.Nil(t, q.spare)
	q = output{spare: make([]byte, 0, 600)}
	q.append(make([]byte, 600)) // for which it is just large enough
	require.Equal(t, 600, cap(q.chunks[0]))
}

// Whatever is done to a queue, it has the bytes that are left, in order, knows which of them
// are lent, and keeps no memory but its chunks'.
func TestOutputOperations(t *testing.T) {
	type piece struct {
		b    byte
		lent bool
	}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		size := func(most int) int { return r.IntN([]int{10, 600, 5000, 40_000, 150_000}[r.IntN(5)]) % (most + 1) }
		var q output
		var want []piece
		next := byte(0)
		fill := func(n int) []byte {
			p := make([]byte, n)
			for i := range p {
				next++
				p[i] = next
			}
			return p
		}
		for range 40 {
			switch p := fill(size(200_000)); r.IntN(6) {
			case 0, 1:
				q.append(p)
				for _, b := range p {
					want = append(want, piece{b, false})
				}
				clear(p) // it is the caller's again
			case 2:
				lends := q.borrowed == nil && len(p) >= shortestLoan
				q.borrow(p)
				for _, b := range p {
					want = append(want, piece{b, lends})
				}
			case 3:
				n, excess := size(len(want)), 0
				if r.IntN(3) == 0 {
					n, excess = len(want), r.IntN(10)
				}
				require.Equal(t, excess, q.consume(n+excess))
				want = want[n:]
			case 4:
				n := size(len(want))
				if r.IntN(3) == 0 {
					n = len(want)
				}
				if at := len(want) - n; at > 0 && n > 0 && want[at-1].lent && want[at].lent {
					break // what is lent is taken back whole
				}
				q.truncate(n)
				want = want[:len(want)-n]
			case 5:
				q.keep()
				require.Nil(t, q.borrowed)
				for i := range want {
					want[i].lent = false
				}
			}
			behind := fill(r.IntN(3))
			var left []byte
			lent := 0
			for _, p := range want {
				left = append(left, p.b)
				if p.lent {
					lent++
				}
			}
			require.Equal(t, len(left), q.size)
			require.Equal(t, lent, q.lent())
			require.Equal(t, lent > 0, q.borrowed != nil)
			v := q.slices(behind)
			require.True(t, bytes.Equal(append(left, behind...), bytes.Join(v, nil)))
			for _, b := range v {
				require.NotEmpty(t, b)
			}
			require.LessOrEqual(t, cap(q.spare), maxSpare)
			for _, c := range q.chunks[len(q.chunks):cap(q.chunks)] {
				require.Nil(t, c)
			}
			if len(behind) > 0 {
				require.NotZero(t, cap(q.vector), "to be used again")
			}
			q.consume(0)
			for _, b := range q.vector[:cap(q.vector)] {
				require.Nil(t, b)
			}
		}
	}
}

// What a queue needs no more goes back to where others take it from, what is lent to its owner.
func TestOutputGivesBackBuffers(t *testing.T) {
	const large = 2 * maxSpare
	for name, use := range map[string]func(q *output){
		"sent":                    func(q *output) { q.consume(large) },
		"taken back":              func(q *output) { q.truncate(large) },
		"grown":                   func(q *output) { q.chunks[0] = extend(q.chunks[0], make([]byte, 1)) },
		"too small to be a spare": func(q *output) { q.spare, q.chunks = q.chunks[0], nil; q.append(make([]byte, large+1)) },
	} {
		require.True(t, comesBack(large, func(b []byte) { use(&output{chunks: [][]byte{b}, size: large}) }), name)
	}
	for name, use := range map[string]func(q *output){
		"sent":       func(q *output) { q.consume(q.size) },
		"taken back": func(q *output) { q.truncate(q.size) },
		"kept":       func(q *output) { q.keep() },
	} {
		require.False(t, comesBack(2*corkLimit, func(b []byte) {
			q := new(output)
			q.borrow(b)
			use(q)
			require.Nil(t, q.borrowed)
		}), name)
	}
	for size, kept := range map[int]bool{maxSpare: true, maxSpare + 1: false} {
		var q output
		q.append(make([]byte, size))
		q.consume(size)
		require.Equal(t, kept, q.spare != nil)
	}
	b := getBuffer(minPooled)
	require.Same(t, unsafe.SliceData(b), unsafe.SliceData(extend(b, make([]byte, minPooled))), "there was room")
	q := new(output)
	q.borrow(make([]byte, shortestLoan-1))
	require.Zero(t, q.lent(), "what is short is copied")
	q = new(output)
	q.borrow(make([]byte, shortestLoan))
	require.Equal(t, shortestLoan, q.lent())
	q.consume(shortestLoan)
	require.Nil(t, q.spare, "it is the caller's again")
}

// comesBack reports whether use puts a buffer of so many bytes back into its pool. A pool may
// lose one, now and then, and the race detector has it do so often.
func comesBack(size int, use func(b []byte)) bool {
	for range 20 {
		b := getBuffer(size)[:size]
		use(b)
		if unsafe.SliceData(getBuffer(size)) == unsafe.SliceData(b) {
			return true
		}
	}
	return false
}

// Waiters that were told are forgotten, and their places used again.
func TestOutputForgetsWaiters(t *testing.T) {
	var q output
	for i := range 1000 {
		q.wait(sentWaiter{index: int64(i), fn: func(error) {}})
	}
	for _, popped := range []struct{ more, left int }{{100, 1001}, {800, 102}} {
		for range popped.more {
			q.pop()
			require.Nil(t, q.waiters[q.first-1].fn)
		}
		q.wait(sentWaiter{index: 2000})
		require.Len(t, q.waiters, popped.left)
	}
	for q.next() != nil {
		q.pop()
	}
	require.True(t, q.idle())
}
