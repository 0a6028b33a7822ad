package iostream

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// Whatever is done to an input, it has the bytes that were not taken, and what was taken last
// stays as it is for as long as somebody may hold it.
func TestInputOperations(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		var in input
		var want, message, held []byte
		scratch := make([]byte, 64<<10)
		next := byte(0)
		for range 60 {
			n := r.IntN([]int{10, 600, 5000, 40_000}[r.IntN(4)])
			b := make([]byte, n)
			for i := range b {
				next++
				b[i] = next
			}
			switch op := r.IntN(7); {
			case op == 0 && in.len() == 0 && !in.kept && n > 0:
				in.release()
				in.borrow(scratch[:copy(scratch, b)])
				want = append(want, b...)
			case op <= 1:
				in.append(b)
				want = append(want, b...)
			case op == 2:
				in.own()
				clear(scratch)
			case op == 3:
				in.own()
				in.exactly(n)
				require.GreaterOrEqual(t, len(in.room()), n)
			case op == 4:
				in.settle()
				require.Equal(t, len(want) == 0 && !in.kept, in.data == nil)
			case op == 5 && !in.kept && in.len() > 0: // a task's message
				in.own()
				message = in.take(r.IntN(min(in.len(), 5000)) + 1)
				held, want = bytes.Clone(message), want[len(message):]
				in.kept = true
			case op == 6 && in.kept:
				in.kept, message, held = false, nil, nil
			default:
				n = min(n, len(want))
				require.True(t, bytes.Equal(want[:n], in.take(n)))
				want = want[n:]
			}
			require.Equal(t, len(want), in.len())
			require.True(t, bytes.Equal(want, in.bytes()))
			require.True(t, bytes.Equal(held, message), "a message that is kept")
		}
	}
}

// What has room stays where it is, and slides if that halves what is in use.
func TestInputMovesLittle(t *testing.T) {
	for name, test := range map[string]struct {
		head, len, need int
		moved, slid     bool
	}{
		"there is room":     {0, 500, 12, false, false},
		"there is too few":  {0, 500, 13, true, false},
		"half of it is old": {256, 512, 256, false, true},
		"less than half":    {255, 512, 255, true, false},
		"not enough though": {256, 512, 257, true, false},
	} {
		in := input{data: make([]byte, test.len, 512), head: int32(test.head)}
		before := unsafe.SliceData(in.data)
		in.reserve(test.need, maxSlack)
		require.Equal(t, test.moved, before != unsafe.SliceData(in.data), name)
		require.Equal(t, test.moved || test.slid || test.head == 0, in.head == 0, name)
		require.GreaterOrEqual(t, len(in.room()), test.need, name)
	}
}

// A buffer goes back to where others take it from when it is read to its end, or too small,
// and that of the loop, or one that somebody holds, does not.
func TestInputGivesBackBuffers(t *testing.T) {
	const size = 4 << 10
	for name, test := range map[string]struct {
		in   input
		back bool
	}{
		"of its own":   {input{}, true},
		"the loop's":   {input{borrowed: true}, false},
		"with message": {input{kept: true}, false},
		"held":         {input{lent: true}, false},
		"in use":       {input{pinned: true}, false},
	} {
		require.Equal(t, test.back, comesBack(size, func(b []byte) {
			in := test.in
			in.data, in.head = b, size
			in.release()
			require.Equal(t, in.kept || in.lent || in.pinned, in.data != nil)
		}), name)
	}
	for kept, back := range map[bool]bool{false: true, true: false} {
		require.Equal(t, back, comesBack(size, func(b []byte) {
			in := input{data: b, kept: kept}
			in.grow(2 * size)
		}), "grown, kept: %v", kept)
	}
}

// An input that is never read to its end takes no more memory for that: a peer that is always a
// part of a message ahead would have it grow for as long as the connection lasts.
func TestInputThatIsNeverEmptyStaysSmall(t *testing.T) {
	var in input
	in.append(make([]byte, 100))
	for range 10_000 {
		in.append(make([]byte, 100))
		in.take(100)
		require.LessOrEqual(t, cap(in.data), 1<<10)
	}
}

// An input of which all was taken from the scratch buffer needs no buffer of its own.
func TestInputOwnsNoMemoryForNothing(t *testing.T) {
	var in input
	in.borrow([]byte("all"))
	in.take(3)
	in.own()
	require.Nil(t, in.data)
	require.False(t, in.borrowed)
}

// What a delivery leaves is the input's own afterwards: others receive into the scratch buffer.
func TestInputBorrowsNoLonger(t *testing.T) {
	for name, own := range map[string]func(in *input){
		"settle": (*input).settle,
		"append": func(in *input) { in.append([]byte("d")) },
	} {
		scratch := []byte("abc-")
		var in input
		in.borrow(scratch[:3])
		in.take(1)
		own(&in)
		require.Equal(t, "abc-", string(scratch), name)
		clear(scratch)
		require.Equal(t, "bc", string(in.bytes()[:2]), name)
	}
}

// A buffer that somebody still reads outlives a delivery.
func TestInputSettlesNotWhatIsLent(t *testing.T) {
	var in input
	in.append([]byte("x"))
	lent := in.take(1)
	in.lent = true
	in.settle()
	require.True(t, in.lent)
	require.Same(t, unsafe.SliceData(lent), unsafe.SliceData(in.data))
}
