package iostream

import (
	"os"
	"slices"
	"sync"
	"unsafe"

	"github.com/eddyloop/eddy/internal/socket"
)

// output is what a stream has accepted for writing and not yet handed to its
// transport: a queue of chunks in which small writes share one, and the waiters
// for write indexes. An idle stream has none.
type output struct {
	chunks  [][]byte
	head    int          // bytes of chunks[0] that are handed on already
	size    int          // bytes left
	unsent  int          // bytes that the transport has taken and not handed on: Transport.Unsent
	waiters []sentWaiter // from first on, by index
	first   int
	vector  [][]byte // scratch for what goes to Transport.Write
	spare   []byte   // a chunk that is used again and again

	pipe     *socket.Pipe // what is sent before the chunks, if any: a relay's
	reserved int          // bytes before the chunks that a goroutine is sending from a file

	// borrowed is the chunk, if any, that is a waiting writer's own slice. It begins where
	// that does, whatever is cut off its end.
	borrowed []byte
}

// shortestLoan is from how many bytes on borrowing beats a copy.
const shortestLoan = 1 << 10

// maxSpare is the largest chunk that is kept as a spare.
const maxSpare = 4 << 10

// sentWaiter waits until the bytes up to a write index are out: a waiting call
// or a callback.
type sentWaiter struct {
	index  int64
	failed error // why it waits no longer; index is 0
	op     string
	wait   *waitOp
	fn     func(error)
}

// wantsToWrite reports whether who waits in op does so in order to write, and not for what is
// written.
func wantsToWrite(op string) bool { return op == "write" || op == "room" || op == "room func" }

// chunkSize is how large a chunk becomes, what has been borrowed aside.
const chunkSize = 64 << 10

var outputs = sync.Pool{New: func() any { return new(output) }}

// append queues a copy of p. What is large becomes several chunks, so that the memory of
// what has been sent serves others while the rest waits.
func (q *output) append(p []byte) {
	if len(p) == 0 {
		return
	}
	if q.squeeze(p) {
		return
	}
	if last := len(q.chunks) - 1; last >= 0 {
		c := q.chunks[last]
		if len(c)+len(p) <= chunkSize && !q.isBorrowed(c) {
			q.chunks[last] = extend(c, p)
			q.size += len(p)
			return
		}
	}
	for ; len(p) > chunkSize; p = p[chunkSize:] {
		q.begin(p[:chunkSize])
	}
	q.begin(p)
}

// squeeze queues a copy of p if the last chunk has room.
func (q *output) squeeze(p []byte) bool {
	last := len(q.chunks) - 1
	if last < 0 {
		return false
	}
	c := &q.chunks[last]
	n := len(*c)
	if cap(*c)-n < len(p) {
		return false
	}
	*c = (*c)[:n+len(p)]
	copy((*c)[n:], p)
	q.size += len(p)
	return true
}

// begin queues a copy of p as a new chunk.
func (q *output) begin(p []byte) {
	c := q.spare
	q.spare = nil
	if cap(c) < len(p) {
		putBuffer(c)
		c = getBuffer(len(p))
	}
	q.chunks = append(q.chunks, append(c, p...))
	q.size += len(p)
}

// borrow queues p itself, which its owner leaves alone until it is out, taken back or
// kept. There is one such chunk at a time, and what is short is copied all the same.
func (q *output) borrow(p []byte) {
	if q.borrowed != nil || len(p) < shortestLoan {
		q.append(p)
		return
	}
	q.borrowed = p[:len(p):len(p)]
	q.chunks = append(q.chunks, q.borrowed)
	q.size += len(p)
}

func (q *output) isBorrowed(c []byte) bool {
	return q.borrowed != nil && unsafe.SliceData(c) == unsafe.SliceData(q.borrowed)
}

// keep replaces what is left of a borrowed chunk by a copy.
func (q *output) keep() {
	if q == nil || q.borrowed == nil {
		return
	}
	for i, c := range q.chunks {
		if q.isBorrowed(c) {
			q.chunks[i] = append(getBuffer(len(c)), c...)
		}
	}
	q.borrowed = nil
}

// lent returns how many of the queued bytes stand in a borrowed chunk.
func (q *output) lent() int {
	if q == nil || q.borrowed == nil {
		return 0
	}
	for i, c := range q.chunks {
		if q.isBorrowed(c) && i == 0 {
			return len(c) - q.head
		} else if q.isBorrowed(c) {
			return len(c)
		}
	}
	return 0
}

// recycle keeps the chunk as the spare or puts it back into its pool.
func (q *output) recycle(c []byte) {
	if q.spare == nil && cap(c) <= maxSpare && !q.isBorrowed(c) {
		q.spare = c[:0]
	} else {
		q.putBack(c)
	}
}

func (q *output) putBack(c []byte) {
	if q.isBorrowed(c) {
		q.borrowed = nil
	} else {
		putBuffer(c)
	}
}

// extend appends p to c, which moves to a pooled buffer of at least twice the
// size when it is full.
func extend(c, p []byte) []byte {
	if cap(c)-len(c) >= len(p) {
		return append(c, p...)
	}
	grown := append(getBuffer(max(2*cap(c), len(c)+len(p))), c...)
	putBuffer(c)
	return append(grown, p...)
}

// slices returns what is queued, and p behind it, for one Transport.Write.
func (q *output) slices(p []byte) [][]byte {
	if len(p) == 0 && q.head == 0 {
		return q.chunks
	}
	v := q.vector[:0]
	for i, c := range q.chunks {
		if i == 0 {
			c = c[q.head:]
		}
		v = append(v, c)
	}
	if len(p) > 0 {
		v = append(v, p)
	}
	q.vector = v
	return v
}

// consume drops n bytes from the front, and returns by how many n exceeds what
// is queued.
func (q *output) consume(n int) (excess int) {
	clear(q.vector)
	done := 0
	for done < len(q.chunks) {
		left := len(q.chunks[done]) - q.head
		if n < left {
			break
		}
		n -= left
		q.size -= left
		q.head = 0
		q.recycle(q.chunks[done])
		q.chunks[done] = nil
		done++
	}
	if done < len(q.chunks) {
		q.head += n
		q.size -= n
		n = 0
	}
	if done == len(q.chunks) { // nearly always
		q.chunks = q.chunks[:0]
	} else {
		q.chunks = slices.Delete(q.chunks, 0, done)
	}
	return n
}

// truncate drops n bytes, of those that are left, from the back.
func (q *output) truncate(n int) {
	q.size -= n
	for last := len(q.chunks) - 1; n > 0; last-- {
		c := q.chunks[last]
		left := len(c)
		if last == 0 {
			left -= q.head
		}
		if n < left {
			q.chunks[last] = c[:len(c)-n]
			return
		}
		n -= left
		q.recycle(c)
		q.chunks[last] = nil
		q.chunks = q.chunks[:last]
	}
	if len(q.chunks) == 0 {
		q.head = 0
	}
}

// queued returns how many bytes could be taken back.
func (q *output) queued() int {
	if q == nil {
		return 0
	}
	return q.size - q.reserved
}

// isReserved reports whether a goroutine is sending the head of the queue.
func (q *output) isReserved() bool { return q != nil && q.reserved > 0 }

// drop forgets all bytes.
func (q *output) drop() {
	q.dropPipe()
	q.size -= q.reserved
	q.reserved = 0
	q.consume(q.size)
	q.unsent = 0
}

// wait adds a waiter, in the order of the indexes and behind its equals. Where
// somebody always waits, those that were told make room for it.
func (q *output) wait(w sentWaiter) {
	if q.first > len(q.waiters)/2 {
		q.waiters, q.first = slices.Delete(q.waiters, 0, q.first), 0
	}
	q.waiters = append(q.waiters, w)
	for i := len(q.waiters) - 1; i > q.first && q.waiters[i-1].index > w.index; i-- {
		q.waiters[i-1], q.waiters[i] = w, q.waiters[i-1]
	}
}

// expire fails those who wait for more than what is sent. They come before any
// waiter from now on.
func (q *output) expire(sent int64) {
	for i := q.first; i < len(q.waiters); i++ {
		if w := &q.waiters[i]; w.index > sent {
			w.index, w.failed = 0, os.ErrDeadlineExceeded
		}
	}
}

// failWriters fails those who wait in order to write. They come before any waiter from
// now on.
func (q *output) failWriters(reason error) {
	for i := q.first; i < len(q.waiters); i++ {
		if w := q.waiters[i]; wantsToWrite(w.op) && w.failed == nil {
			w.index, w.failed = 0, reason
			q.waiters = slices.Delete(q.waiters, i, i+1)
			q.wait(w)
		}
	}
}

// withdraw removes the waiter of a waiting call.
func (q *output) withdraw(op *waitOp) {
	for i, w := range q.waiters {
		if w.wait == op {
			q.waiters = slices.Delete(q.waiters, i, i+1)
			return
		}
	}
}

// next returns the first waiter, nil if there is none.
func (q *output) next() *sentWaiter {
	if q.first == len(q.waiters) {
		return nil
	}
	return &q.waiters[q.first]
}

// pop removes the first waiter.
func (q *output) pop() {
	q.waiters[q.first] = sentWaiter{}
	q.first++
}

func (q *output) idle() bool { return q.size+q.unsent == 0 && q.first == len(q.waiters) }
